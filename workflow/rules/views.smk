"""Views: features of images and texts, cached in HDF5."""


rule extract_image_view:
    """Features of a fixed network, for all images of a data set and so for every split."""
    input:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        images="<data>/datasets/{dataset}/images.parquet",
        weights=weights_of,
        code=code_of("scripts/extract_image_view.py"),
    output:
        view="<data>/views/{dataset}/image/{image_view}.h5",
    log:
        "<logs>/views/{dataset}/image/{image_view}.log",
    benchmark:
        "<benchmarks>/views/{dataset}/image/{image_view}.tsv"
    conda:
        "../../environment.yml"
    threads: 8
    resources:
        gpu=gpus_of(uses_torch=True),
    params:
        code=digest_of(code_of("scripts/extract_image_view.py")),
        network=lambda wildcards: network_of(wildcards)["network"],
        batch_size=lambda wildcards: network_of(wildcards)["batch_size"],
        raw=f"{config['data']}/raw",
        device=config["device"],
    shell:
        "python scripts/extract_image_view.py --pairs {input.pairs} --images {input.images} --raw {params.raw}"
        " --network {params.network} --weights $(dirname {input.weights:q})"
        " --batch-size {params.batch_size} --workers {threads} --device {params.device} --view {output.view} > {log} 2>&1"


rule extract_text_view:
    """A text model learnt on the train part, applied to all texts."""
    input:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        split="<data>/datasets/{dataset}/splits/{split}.parquet",
        code=code_of_text_view,
    output:
        view="<data>/views/{dataset}/{split}/text/{text_view}.h5",
    log:
        "<logs>/views/{dataset}/{split}/text/{text_view}.log",
    benchmark:
        "<benchmarks>/views/{dataset}/{split}/text/{text_view}.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of_text_view),
        implementation=lambda wildcards: text_view_of(wildcards)["implementation"],
        options=text_view_options,
    shell:
        "python scripts/extract_text_view.py --pairs {input.pairs} --split {input.split}"
        " --implementation {params.implementation} --options {params.options:q}"
        " --view {output.view} > {log} 2>&1"
