"""Data sets in their normalised form, their splits, and the features that they come with."""


rule read_dataset:
    """Image-text pairs with labels; the pictures themselves are not looked at.

    How many are expected the script asks of the configuration: a check that is added later changes no pair.
    """
    input:
        assets=assets_of_dataset,
        code=code_of_reader,
    output:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        dropped="<data>/datasets/{dataset}/dropped.parquet",
    log:
        "<logs>/datasets/{dataset}.log",
    benchmark:
        "<benchmarks>/datasets/{dataset}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        code=digest_of(code_of_reader),
        reader=reader_arguments,
        raw=f"{config['data']}/raw",
        config=lambda wildcards: f"{ROOT}/config/datasets/{wildcards.dataset}.yaml",
    shell:
        "python scripts/read_dataset.py {params.config:q} --reader {params.reader[reader]:q}"
        " --options {params.reader[options]:q} --assets {params.reader[assets]:q} --raw {params.raw:q}"
        " --on-bad-item {params.reader[on_bad_item]:q}"
        " --pairs {output.pairs:q} --dropped {output.dropped:q} > {log:q} 2>&1"


rule check_images:
    """Every picture decoded once: its digest, its size, or why it cannot be used."""
    input:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        assets=image_assets_of_dataset,
        code=code_of("scripts/check_images.py"),
    output:
        images="<data>/datasets/{dataset}/images.parquet",
    log:
        "<logs>/datasets/{dataset}/images.log",
    benchmark:
        "<benchmarks>/datasets/{dataset}/images.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60, 30),
    params:
        code=digest_of(code_of("scripts/check_images.py")),
        raw=f"{config['data']}/raw",
        on_bad_item=lambda wildcards: catalogue.dataset(wildcards.dataset)["on_bad_item"],
    shell:
        "python scripts/check_images.py --pairs {input.pairs:q} --raw {params.raw:q}"
        " --on-bad-item {params.on_bad_item:q} --images {output.images:q} > {log:q} 2>&1"


rule make_split:
    """Partition a data set into train, valid and test parts."""
    input:
        unpack(images_of_split),
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        code=code_of("scripts/make_split.py"),
    output:
        split="<data>/datasets/{dataset}/splits/{split}.parquet",
    log:
        "<logs>/datasets/{dataset}/splits/{split}.log",
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_split.py")),
        protocol=lambda wildcards: as_json(catalogue.split(wildcards.dataset, wildcards.split)["protocol"]),
        seed=lambda wildcards: catalogue.split(wildcards.dataset, wildcards.split)["seed"],
        images=images_argument,
    shell:
        "python scripts/make_split.py --pairs {input.pairs:q} {params.images:q} --protocol {params.protocol:q}"
        " --seed {params.seed:q} --split {output.split:q} > {log:q} 2>&1"


rule read_view:
    """Features that a data set comes with."""
    input:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        assets=assets_of_ready_view,
        code=code_of_ready_view,
    output:
        view="<data>/datasets/{dataset}/views/{modality}/{view}.h5",
    log:
        "<logs>/datasets/{dataset}/views/{modality}/{view}.log",
    benchmark:
        "<benchmarks>/datasets/{dataset}/views/{modality}/{view}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(16000),
        runtime=minutes(120),
    params:
        code=digest_of(code_of_ready_view),
        reader=ready_view_arguments,
        raw=f"{config['data']}/raw",
    shell:
        "python scripts/read_view.py {wildcards.view:q} --pairs {input.pairs:q} --reader {params.reader[reader]:q}"
        " --options {params.reader[options]:q} --assets {params.reader[assets]:q} --raw {params.raw:q} {params.reader[counts]:q}"
        " --view {output.view:q} > {log:q} 2>&1"
