"""Data sets in their normalised form, and their splits."""


rule read_dataset:
    """Image-text pairs with labels, every image and text checked."""
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
    params:
        code=digest_of(code_of_reader),
        reader=reader_arguments,
        raw=f"{config['data']}/raw",
    shell:
        "python scripts/read_dataset.py --reader {params.reader[reader]} --options {params.reader[options]:q}"
        " --assets {params.reader[assets]} --raw {params.raw}"
        " --on-bad-item {params.reader[on_bad_item]}"
        " --pairs {output.pairs} --dropped {output.dropped} > {log} 2>&1"


rule make_split:
    """Partition a data set into train, valid and test parts."""
    input:
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        code=code_of("scripts/make_split.py"),
    output:
        split="<data>/datasets/{dataset}/splits/{split}.parquet",
    log:
        "<logs>/datasets/{dataset}/{split}.log",
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_split.py")),
        folds=lambda wildcards: as_json(split_settings(wildcards)["folds"]),
        seed=lambda wildcards: split_settings(wildcards)["seed"],
    shell:
        "python scripts/make_split.py --pairs {input.pairs} --folds {params.folds:q} --seed {params.seed}"
        " --split {output.split} > {log} 2>&1"
