"""Papers: every published number beside the measured one, with a verdict; claims, tested."""


rule judge_paper:
    """Set every number that a paper prints beside ours, compare the order of methods, test methods in pairs."""
    input:
        study=rules.collect_results.output,
        queries=run_files("queries.parquet"),
        published=PUBLISHED_FILES,
        code=code_of("scripts/judge_paper.py"),
    output:
        measured="<results>/studies/{study}/measured.csv",
        verdicts=report(
            "<results>/studies/{study}/verdicts.csv",
            caption="../report/verdicts.rst",
            category=title_of_study,
            subcategory="Verdicts",
            labels={"item": "verdicts", "shows": "Each published number beside ours, with a verdict"},
        ),
        agreement=report(
            "<results>/studies/{study}/agreement.csv",
            caption="../report/agreement.rst",
            category=title_of_study,
            subcategory="Verdicts",
            labels={"item": "order of methods", "shows": "How far the published and the measured order agree"},
        ),
        comparisons="<results>/studies/{study}/comparisons.csv",
        cells="<results>/studies/{study}/cells.json",
    log:
        "<logs>/studies/{study}/verdicts.log",
    benchmark:
        "<benchmarks>/studies/{study}/verdicts.tsv"
    wildcard_constraints:
        study=one_of(papers()),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000, 10),
        runtime=minutes(60),
    params:
        code=digest_of(code_of("scripts/judge_paper.py")),
        runs=RUNS,
        settings=settings_of_study,
        published=lambda wildcards: PUBLISHED,
    shell:
        'python scripts/judge_paper.py "$(dirname {input.study[0]:q})" --published {params.published:q} --runs {params.runs:q}'
        " --settings {params.settings:q} > {log:q} 2>&1"


rule check_claims:
    """Test what the paper claims, on what it prints and on what was measured."""
    input:
        study=rules.collect_results.output,
        judged=rules.judge_paper.output,
        queries=run_files("queries.parquet"),
        vectorisation=vectorisation_of_claims,
        claims=claims_of_paper,
        schema="workflow/schemas/claims.schema.yaml",
        published=PUBLISHED_FILES,
        code=code_of("scripts/check_claims.py"),
    output:
        report(
            "<results>/studies/{study}/claims.csv",
            caption="../report/claims.rst",
            category=title_of_study,
            subcategory="Verdicts",
            labels={"item": "claims", "shows": "What the paper claims, and whether it holds"},
        ),
    log:
        "<logs>/studies/{study}/claims.log",
    benchmark:
        "<benchmarks>/studies/{study}/claims.tsv"
    wildcard_constraints:
        study=one_of(papers()),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000, 10),
        runtime=minutes(120),
    params:
        code=digest_of(code_of("scripts/check_claims.py")),
        published=lambda wildcards: PUBLISHED,
        runs=RUNS,
    shell:
        'python scripts/check_claims.py "$(dirname {input.study[0]:q})" --claims {input.claims:q}'
        " --published {params.published:q} --runs {params.runs:q} --vectorisation {input.vectorisation:q}"
        " --output {output:q} > {log:q} 2>&1"


rule collect_examples:
    """What one figure shows besides scores: example pairs, or the cosines of related words."""
    input:
        unpack(sources_of_examples),
        study=rules.collect_results.output,
        code=code_of("scripts/collect_examples.py"),
    output:
        "<results>/studies/{study}/figure_data/{figure}.parquet",
    log:
        "<logs>/studies/{study}/figure_data/{figure}.log",
    wildcard_constraints:
        study=one_of(papers()),
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/collect_examples.py")),
        sources=examples_arguments,
    shell:
        'python scripts/collect_examples.py "$(dirname {input.study[0]:q})" {wildcards.figure:q} {params.sources:q}'
        " --output {output:q} > {log:q} 2>&1"
