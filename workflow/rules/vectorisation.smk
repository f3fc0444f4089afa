"""The study of vectorisers: word vectors learnt from captions, compared on word pairs and analogy questions."""


rule learn_word_vectors:
    """The vectors of all words of a data set's train texts by one vectoriser, once a seed."""
    input:
        unpack(learnt_texts),
        assets=assets_of_vectoriser,
        code=code_of_vectoriser,
    output:
        vectors="<results>/vectorisation/{dataset}/{vectoriser}.h5",
    log:
        "<logs>/vectorisation/{dataset}/{vectoriser}.log",
    benchmark:
        "<benchmarks>/vectorisation/{dataset}/{vectoriser}.tsv"
    wildcard_constraints:
        vectoriser=NAME,
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(8000, 40),
        runtime=minutes(480),
    params:
        code=digest_of(code_of_vectoriser),
        vectoriser=arguments_of_vectoriser,
        seeds=catalogue.vectorisation["seeds"],
    shell:
        "python scripts/learn_word_vectors.py {params.vectoriser:q} --pairs {input.pairs:q} --split {input.split:q}"
        " --seeds {params.seeds:q} --vectors {output.vectors:q} > {log:q} 2>&1"


rule compare_vectorisers:
    """Every vectoriser of a data set on the same word pairs and questions."""
    input:
        vectors=word_vectors_of_dataset,
        code=code_of("scripts/compare_vectorisers.py"),
    output:
        scores="<results>/vectorisation/{dataset}/scores.parquet",
        answers="<results>/vectorisation/{dataset}/answers.parquet",
    log:
        "<logs>/vectorisation/{dataset}/scores.log",
    benchmark:
        "<benchmarks>/vectorisation/{dataset}/scores.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000, 4),
        runtime=minutes(120),
    params:
        code=digest_of(code_of("scripts/compare_vectorisers.py")),
        split=split_of_vectorisers,
        claimed=catalogue.vectorisation["claimed"],
        protocol=lambda wildcards: as_json(catalogue.vectorisation["protocol"]),
    shell:
        "python scripts/compare_vectorisers.py {input.vectors:q} --split {params.split:q} --claimed {params.claimed:q}"
        " --protocol {params.protocol:q} --scores {output.scores:q} --answers {output.answers:q} > {log:q} 2>&1"


rule summarise_vectorisers:
    """All data sets in one table, one figure and one answer."""
    input:
        scores=compared_datasets("scores"),
        answers=compared_datasets("answers"),
        code=code_of("scripts/summarise_vectorisers.py"),
    output:
        csv=report(
            "<results>/vectorisation/similarity.csv",
            caption="../report/vectorisation.rst",
            category="Vectorisation",
            labels={"item": "table", "shows": "Similarity of word pairs, by vectoriser"},
        ),
        markdown="<results>/vectorisation/similarity.md",
        latex="<results>/vectorisation/similarity.tex",
        svg=report(
            "<results>/vectorisation/similarity.svg",
            caption="../report/vectorisation.rst",
            category="Vectorisation",
            labels={"item": "figure", "shows": "Similarity of word pairs, by vectoriser"},
        ),
        png="<results>/vectorisation/similarity.png",
        answers="<results>/vectorisation/answers.csv",
        answer="<results>/vectorisation/answer.md",
    log:
        "<logs>/vectorisation/summary.log",
    benchmark:
        "<benchmarks>/vectorisation/summary.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/summarise_vectorisers.py")),
        # Not sorted: data sets and vectorisers are shown in the order of their file.
        about=lambda wildcards: as_json(titles_of_vectorisation(), sort_keys=False),
        folders=[f"{VECTORISATION}/{dataset}" for dataset in catalogue.vectorisation["run"]],
    shell:
        "python scripts/summarise_vectorisers.py {params.folders:q} --about {params.about:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q} --latex {output.latex:q} --figure {output.svg:q} {output.png:q}"
        " --answers {output.answers:q} --answer {output.answer:q} > {log:q} 2>&1"


rule vectorisation:
    """The study of vectorisers on the data sets that config/vectorisation.yaml runs it on."""
    input:
        rules.summarise_vectorisers.output,
