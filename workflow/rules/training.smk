"""Training: one job a data set, split, view pair and method, all its seeds in one process."""


rule train:
    """Choose hyper-parameters on the valid part, train every seed, embed the valid and test items."""
    input:
        unpack(data_of_run),
        code=code_of_method,
    output:
        model="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/model.h5",
        embeddings="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/embeddings.h5",
        selection="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/selection.json",
        history="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/history.parquet",
    log:
        "<logs>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/train.log",
    benchmark:
        "<benchmarks>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/train.tsv"
    conda:
        "../../environment.yml"
    # One thread: results then do not depend on how many cores there are, and small networks gain nothing from more.
    threads: 1
    resources:
        mem_mb=by_device(gpus_of_method, memory(4000, 4), memory(8000, 4)),
        runtime=minutes(240, 0.5),
        gpu=gpus_of_method,
    params:
        code=digest_of(code_of_method),
        implementation=lambda wildcards: method_config(wildcards.method)["implementation"],
        hyperparameters=lambda wildcards: as_json(method_config(wildcards.method)["fixed"]),
        grid=lambda wildcards: as_json(method_config(wildcards.method)["grid"]),
        select_on=lambda wildcards: method_config(wildcards.method).get("selects_on", "valid"),
        seeds=lambda wildcards: catalogue.seeds(wildcards),
        compute=compute_of_method,
        patches=patches_arguments,
        # Kept there whichever run needs it: it holds what several methods learn alike, and can be deleted at any time.
        stages=f"{config['results']}/stages",
    shell:
        "python scripts/train.py {params.implementation:q} --hyperparameters {params.hyperparameters:q}"
        " --grid {params.grid:q} --select-on {params.select_on:q} --seeds {params.seeds:q} {params.compute:q}"
        " --pairs {input.pairs:q} --split {input.split:q} --image-view {input.image_view:q} --text-view {input.text_view:q}"
        " {params.patches:q} --stages {params.stages:q}"
        ' --checkpoints "$(dirname {output.model:q})"/checkpoints'
        " --model {output.model:q} --embeddings {output.embeddings:q} --selection {output.selection:q}"
        " --history {output.history:q} > {log:q} 2>&1"
