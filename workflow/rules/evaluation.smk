"""Evaluation: every run is ranked and scored by the same code."""


rule evaluate:
    """Rank and score all tasks on the valid and test parts."""
    input:
        embeddings="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/embeddings.h5",
        pairs="<data>/datasets/{dataset}/pairs.parquet",
        code=code_of("scripts/evaluate.py"),
    output:
        metrics="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/metrics.parquet",
        curves="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/curves.parquet",
        queries="<results>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/queries.parquet",
    log:
        "<logs>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/evaluate.log",
    benchmark:
        "<benchmarks>/runs/{dataset}/{split}/{image_view}+{text_view}/{method}/evaluate.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000, 4),
        runtime=minutes(60, 0.5),
    params:
        code=digest_of(code_of("scripts/evaluate.py")),
    shell:
        "python scripts/evaluate.py --embeddings {input.embeddings:q} --pairs {input.pairs:q}"
        " --metrics {output.metrics:q} --curves {output.curves:q} --queries {output.queries:q} > {log:q} 2>&1"
