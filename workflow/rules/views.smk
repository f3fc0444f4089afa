"""Views: features of images and texts, cached in HDF5.

A view that learns lies in its split's folder. `basis` is the name of that folder with a slash, or nothing.
"""


# How many jobs share the images of a data set: only those whose images are too many for one.
scattergather:
    **config["shards"],


rule fit_image_view:
    """What a view learns from the images of a split's train part, such as its visual words."""
    input:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        images="<data>/datasets/{dataset}/images.parquet",
        split="<data>/datasets/{dataset}/splits/{split}.parquet",
        assets=assets_of_image_view,
        code=code_of_image_view("scripts/fit_image_view.py"),
    output:
        fitted="<data>/views/{dataset}/{split}/image/{image_view}.fitted.h5",
    log:
        "<logs>/views/{dataset}/{split}/image/{image_view}.fitted.log",
    benchmark:
        "<benchmarks>/views/{dataset}/{split}/image/{image_view}.fitted.tsv"
    conda:
        "../../environment.yml"
    threads: 8
    resources:
        mem_mb=memory(16000),
        runtime=minutes(120, 30),
        gpu=gpus_of_image_view,
    params:
        code=digest_of(code_of_image_view("scripts/fit_image_view.py")),
        view=arguments_of_image_view,
        raw=f"{config['data']}/raw",
        device=device_of_image_view,
    shell:
        "python scripts/fit_image_view.py {params.view:q} --pairs {input.pairs:q} --images {input.images:q}"
        " --split {input.split:q} --raw {params.raw:q} --workers {threads} {params.device:q}"
        " --fitted {output.fitted:q} > {log:q} 2>&1"


rule extract_image_view:
    """Features of all images of a data set."""
    input:
        unpack(fitted_image_view),
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        images="<data>/datasets/{dataset}/images.parquet",
        assets=assets_of_image_view,
        code=code_of_image_view("scripts/extract_image_view.py"),
    output:
        view="<data>/views/{dataset}/{basis}image/{image_view}.h5",
    log:
        "<logs>/views/{dataset}/{basis}image/{image_view}.log",
    benchmark:
        "<benchmarks>/views/{dataset}/{basis}image/{image_view}.tsv"
    wildcard_constraints:
        dataset=other_than(config["shards"], "/"),
        image_view=other_than(concatenated("image"), r"\."),
    conda:
        "../../environment.yml"
    threads: 8
    resources:
        mem_mb=memory(16000),
        runtime=minutes(120, 30),
        gpu=gpus_of_image_view,
    params:
        code=digest_of(code_of_image_view("scripts/extract_image_view.py")),
        view=arguments_of_image_view,
        fitted=fitted_argument,
        raw=f"{config['data']}/raw",
        device=device_of_image_view,
        precision=precision_of_image_view,
        shard="1-of-1",
    shell:
        "python scripts/extract_image_view.py {params.view:q} {params.fitted:q}"
        " --pairs {input.pairs:q} --images {input.images:q} --raw {params.raw:q} --shard {params.shard:q}"
        " --workers {threads} {params.device:q} {params.precision:q} --view {output.view:q} > {log:q} 2>&1"


use rule extract_image_view as extract_image_shard with:
    output:
        view="<data>/views/{dataset}/{basis}image/{image_view}.{scatteritem}.h5",
    log:
        "<logs>/views/{dataset}/{basis}image/{image_view}.{scatteritem}.log",
    benchmark:
        "<benchmarks>/views/{dataset}/{basis}image/{image_view}.{scatteritem}.tsv"
    wildcard_constraints:
        dataset=one_of(config["shards"]),
        image_view=other_than(concatenated("image"), r"\."),
    params:
        shard="{scatteritem}",


rule gather_image_shards:
    """One view that points to its shards."""
    input:
        shards=image_shards,
        code=code_of("scripts/gather_image_shards.py"),
    output:
        view="<data>/views/{dataset}/{basis}image/{image_view}.h5",
    log:
        "<logs>/views/{dataset}/{basis}image/{image_view}.log",
    wildcard_constraints:
        dataset=one_of(config["shards"]),
        image_view=other_than(concatenated("image"), r"\."),
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/gather_image_shards.py")),
    shell:
        "python scripts/gather_image_shards.py {input.shards:q} --view {output.view:q} > {log:q} 2>&1"


rule extract_text_view:
    """Features of all texts of a data set."""
    input:
        unpack(split_of_text_view),
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        assets=assets_of_text_view,
        code=code_of_text_view,
    output:
        view="<data>/views/{dataset}/{basis}text/{text_view}.h5",
    log:
        "<logs>/views/{dataset}/{basis}text/{text_view}.log",
    benchmark:
        "<benchmarks>/views/{dataset}/{basis}text/{text_view}.tsv"
    wildcard_constraints:
        text_view=other_than(concatenated("text"), r"\."),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(8000, 40),
        runtime=minutes(60, 10),
    params:
        code=digest_of(code_of_text_view),
        view=arguments_of_text_view,
        split=split_argument,
    shell:
        "python scripts/extract_text_view.py {params.view:q} {params.split:q} --pairs {input.pairs:q}"
        " --view {output.view:q} > {log:q} 2>&1"


rule concatenate_views:
    """The features of several views side by side."""
    input:
        parts=parts_of_view,
        code=code_of("scripts/concatenate_views.py"),
    output:
        view="<data>/views/{dataset}/{basis}{modality}/{view}.h5",
    log:
        "<logs>/views/{dataset}/{basis}{modality}/{view}.log",
    benchmark:
        "<benchmarks>/views/{dataset}/{basis}{modality}/{view}.tsv"
    wildcard_constraints:
        view=one_of([*concatenated("image"), *concatenated("text")]),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000, 4),
        runtime=minutes(60),
    params:
        code=digest_of(code_of("scripts/concatenate_views.py")),
        parts=parts_of_view,  # their order, which inputs do not have
    shell:
        "python scripts/concatenate_views.py {params.parts:q} --view {output.view:q} > {log:q} 2>&1"
