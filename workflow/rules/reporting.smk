"""Reporting: the runs of a study become its tables, figures, gallery and report."""


rule collect_results:
    """Gather the scores, curves and histories of a study's runs, and the facts of how they were made."""
    input:
        metrics=run_files("metrics.parquet"),
        curves=run_files("curves.parquet"),
        history=run_files("history.parquet"),
        selection=run_files("selection.json"),
        pairs=data_files("pairs"),
        splits=data_files("split"),
        images=image_files,
        code=code_of("scripts/collect_results.py"),
    output:
        results="<results>/studies/{study}/results.csv",
        curves="<results>/studies/{study}/curves.parquet",
        history="<results>/studies/{study}/history.parquet",
        facts="<results>/studies/{study}/study.json",
    log:
        "<logs>/studies/{study}/results.log",
    benchmark:
        "<benchmarks>/studies/{study}/results.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000, 10),
        runtime=minutes(60),
    params:
        code=digest_of(code_of("scripts/collect_results.py")),
        # Not sorted: tables, figures and methods are shown in the order of the study's file.
        config=lambda wildcards: as_json(study_config(wildcards.study), sort_keys=False),
        methods=lambda wildcards: as_json(methods_of_study(wildcards), sort_keys=False),
        datasets=lambda wildcards: as_json(datasets_of_study(wildcards), sort_keys=False),
        runs=RUNS,
    shell:
        "python scripts/collect_results.py {wildcards.study:q} --config {params.config:q} --methods {params.methods:q}"
        " --datasets {params.datasets:q} --runs {params.runs:q}"
        " --pairs {input.pairs:q} --splits {input.splits:q} --images {input.images:q}"
        " --results {output.results:q} --curves {output.curves:q} --history {output.history:q} --facts {output.facts:q}"
        " > {log:q} 2>&1"


rule lock_study:
    """What a study was made of and by: `python -m cmr verify` compares it with what is there."""
    input:
        unpack(sources_of_lock),
        study=rules.collect_results.output,
        numbers=code_of_numbers,
        code=code_of("scripts/lock_study.py"),
    output:
        lock="<results>/studies/{study}/lock.json",
    log:
        "<logs>/studies/{study}/lock.log",
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/lock_study.py")),
        root=ROOT,
        settings=settings_of_lock,
    shell:
        "python scripts/lock_study.py {wildcards.study:q} --root {params.root:q} --settings {params.settings:q}"
        " --code {input.numbers:q} --lock {output.lock:q} > {log:q} 2>&1"


rule make_table:
    """One table of a study, for reading and for papers."""
    input:
        unpack(sources_of_table),
        study=rules.collect_results.output,
        code=code_of("scripts/make_table.py"),
    output:
        csv=report(
            "<results>/studies/{study}/tables/{table}.csv",
            caption="../report/table.rst",
            category=title_of_study,
            subcategory="Tables",
            labels=labels_of_table,
        ),
        markdown="<results>/studies/{study}/tables/{table}.md",
        latex="<results>/studies/{study}/tables/{table}.tex",
    log:
        "<logs>/studies/{study}/tables/{table}.log",
    benchmark:
        "<benchmarks>/studies/{study}/tables/{table}.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_table.py")),
        caption=caption_of_table,
        published=published_argument,
    shell:
        'python scripts/make_table.py "$(dirname {input.study[0]:q})" {wildcards.table:q} {params.published:q}'
        " --csv {output.csv:q} --markdown {output.markdown:q} --latex {output.latex:q} > {log:q} 2>&1"


rule make_figure:
    """One figure of a study."""
    input:
        unpack(sources_of_figure),
        study=rules.collect_results.output,
        code=code_of("scripts/make_figure.py"),
    output:
        svg=report(
            "<results>/studies/{study}/figures/{figure}.svg",
            caption="../report/figure.rst",
            category=title_of_study,
            subcategory="Figures",
            labels=labels_of_figure,
        ),
        png="<results>/studies/{study}/figures/{figure}.png",
    log:
        "<logs>/studies/{study}/figures/{figure}.log",
    benchmark:
        "<benchmarks>/studies/{study}/figures/{figure}.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_figure.py")),
        caption=caption_of_figure,
    shell:
        'python scripts/make_figure.py "$(dirname {input.study[0]:q})" {wildcards.figure:q} --output {output:q} > {log:q} 2>&1'


rule make_gallery:
    """Random queries with their first results, for the eye."""
    input:
        unpack(gallery_inputs),
        study=rules.collect_results.output,
        code=code_of("scripts/make_gallery.py"),
        templates=TEMPLATES,
    output:
        report(
            "<results>/studies/{study}/gallery.html",
            caption="../report/gallery.rst",
            category=title_of_study,
            subcategory="Pages",
            labels={"item": "gallery", "shows": "Queries with their first results"},
        ),
    log:
        "<logs>/studies/{study}/gallery.log",
    benchmark:
        "<benchmarks>/studies/{study}/gallery.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_gallery.py")),
        gallery=gallery_arguments,
    shell:
        'python scripts/make_gallery.py "$(dirname {input.study[0]:q})" {params.gallery:q} --output {output:q} > {log:q} 2>&1'


rule make_view_comparison:
    """Every image view with every text view by the same methods, on one page."""
    input:
        unpack(comparison_inputs),
        study=rules.collect_results.output,
        code=code_of("scripts/make_view_comparison.py"),
        templates=TEMPLATES,
    output:
        page=report(
            "<results>/studies/{study}/views.html",
            caption="../report/view_comparison.rst",
            category=title_of_study,
            subcategory="Pages",
            labels={"item": "views", "shows": "What the features are worth"},
        ),
        csv=report(
            "<results>/studies/{study}/views.csv",
            caption="../report/view_comparison.rst",
            category=title_of_study,
            subcategory="Tables",
            labels={"item": "views", "shows": "What the features are worth"},
        ),
    log:
        "<logs>/studies/{study}/views.log",
    benchmark:
        "<benchmarks>/studies/{study}/views.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_view_comparison.py")),
        splits=lambda wildcards: catalogue.view_comparison(wildcards.study)["splits"],
        views=lambda wildcards: as_json(compared_views(wildcards)),
        settings=settings_of_study,
    shell:
        'python scripts/make_view_comparison.py "$(dirname {input.study[0]:q})" --splits {params.splits:q}'
        " --views {params.views:q} --image-views {input.image_views:q} --text-views {input.text_views:q}"
        " --settings {params.settings:q} --page {output.page:q} --csv {output.csv:q} > {log:q} 2>&1"


# The report draws its tables, figures and gallery itself, from the same library: a lost figure is redrawn alone.
rule make_report:
    """Everything about a study on one page."""
    input:
        unpack(gallery_inputs),
        unpack(sources_of_report),
        study=rules.collect_results.output,
        code=code_of("scripts/make_report.py"),
        templates=TEMPLATES,
    output:
        report(
            "<results>/studies/{study}/report.html",
            caption="../report/report.rst",
            category=title_of_study,
            subcategory="Pages",
            labels={"item": "report", "shows": "Everything about the study: begin here"},
        ),
    log:
        "<logs>/studies/{study}/report.log",
    benchmark:
        "<benchmarks>/studies/{study}/report.tsv"
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_report.py")),
        gallery=gallery_arguments,
        published=published_argument,
        command=command_of_study,
        settings=settings_of_study,
    shell:
        'python scripts/make_report.py "$(dirname {input.study[0]:q})" {params.gallery:q} {params.published:q}'
        " --command {params.command:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


rule make_front_page:
    """All studies of the configuration on one page that leads to theirs."""
    input:
        pages=[file for study in catalogue.wanted_studies for file in pages_of_study(study)],
        studies=[file for study in catalogue.wanted_studies for file in files_of_front_page(study)],
        code=code_of("scripts/make_front_page.py"),
        templates=TEMPLATES,
    output:
        report(
            "<results>/report/index.html",
            caption="../report/front_page.rst",
            category="All studies",
            labels={"item": "front page", "shows": "What each study found: begin here"},
        ),
    log:
        "<logs>/report.log",
    conda:
        "../../environment.yml"
    params:
        code=digest_of(code_of("scripts/make_front_page.py")),
        folders=[f"{config['results']}/studies/{study}" for study in catalogue.wanted_studies],
        others=lambda wildcards: studies_made_before(),
        command=lambda wildcards: command_of(config["studies"], config["methods"]),
    shell:
        "python scripts/make_front_page.py {params.folders:q} --others {params.others:q} --command {params.command:q} --output {output:q} > {log:q} 2>&1"
