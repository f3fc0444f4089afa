"""Reporting: the runs of a study become its tables, figures, gallery and report."""

TEMPLATES = [os.path.relpath(path) for path in sorted((SOURCE / "cmr/templates").iterdir())]


def outputs_of_study(study):
    """Everything that a study is made for."""
    folder, settings = f"{config['results']}/studies/{study}", study_config(study)
    return [
        f"{folder}/report.html",
        *[f"{folder}/gallery.html" for _ in settings.keys() & {"gallery"}],
        *[f"{folder}/tables/{table}.{form}" for table in settings["tables"] for form in ("csv", "md", "tex")],
        *[f"{folder}/figures/{figure}.{form}" for figure in settings["figures"] for form in ("svg", "png")],
    ]


def run_files(file):
    """An input function: the outputs of this name of all runs of a study."""
    return lambda wildcards: [f"{run_folder(run)}/{file}" for run in runs_of_study(wildcards.study)]


def pairs_of_study(wildcards):
    datasets = dict.fromkeys(run["dataset"] for run in runs_of_study(wildcards.study))
    return [f"{config['data']}/datasets/{dataset}/pairs.parquet" for dataset in datasets]


def splits_of_study(wildcards):
    splits = dict.fromkeys((run["dataset"], run["split"]) for run in runs_of_study(wildcards.study))
    return [f"{config['data']}/datasets/{dataset}/splits/{split}.parquet" for dataset, split in splits]


def methods_of_study(wildcards):
    """Settings of a study's methods, in the order in which it names them."""
    methods = dict.fromkeys(run["method"] for run in runs_of_study(wildcards.study))
    return {method: method_config(method) for method in methods}


def table_settings(wildcards):
    return study_config(wildcards.study)["tables"][wildcards.table]


def figure_settings(wildcards):
    return study_config(wildcards.study)["figures"][wildcards.figure]


def gallery_inputs(wildcards):
    """Data set and embeddings behind a study's gallery; nothing for a study without one."""
    settings = study_config(wildcards.study).get("gallery")
    if settings is None:
        return {}
    return {
        "pairs": f"{config['data']}/datasets/{settings['dataset']}/pairs.parquet",
        "embeddings": f"{run_folder(settings)}/embeddings.h5",
    }


def gallery_arguments(wildcards, input):
    """How scripts are told of `gallery_inputs`."""
    if "gallery" not in study_config(wildcards.study):
        return []
    return ["--pairs", input.pairs, "--embeddings", input.embeddings, "--raw", f"{config['data']}/raw"]


rule collect_results:
    """Gather the scores, curves and histories of a study's runs, and the facts of how they were made."""
    input:
        metrics=run_files("metrics.parquet"),
        curves=run_files("curves.parquet"),
        history=run_files("history.parquet"),
        selection=run_files("selection.json"),
        pairs=pairs_of_study,
        splits=splits_of_study,
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
    params:
        # Not sorted: tables, figures and methods are shown in the order of the study's file.
        config=lambda wildcards: json.dumps(study_config(wildcards.study)),
        methods=lambda wildcards: json.dumps(methods_of_study(wildcards)),
    shell:
        "python scripts/collect_results.py {wildcards.study} --config {params.config:q} --methods {params.methods:q}"
        " --metrics {input.metrics} --pairs {input.pairs} --splits {input.splits}"
        " --results {output.results} --curves {output.curves} --history {output.history} --facts {output.facts}"
        " > {log} 2>&1"


rule make_table:
    """One table of a study, for reading and for papers."""
    input:
        study=rules.collect_results.output,
        code=code_of("scripts/make_table.py"),
    output:
        csv=report(
            "<results>/studies/{study}/tables/{table}.csv",
            caption="../report/table.rst",
            category="{study}",
            subcategory="Tables",
            labels={"table": "{table}"},
        ),
        markdown="<results>/studies/{study}/tables/{table}.md",
        latex="<results>/studies/{study}/tables/{table}.tex",
    log:
        "<logs>/studies/{study}/tables/{table}.log",
    benchmark:
        "<benchmarks>/studies/{study}/tables/{table}.tsv"
    params:
        caption=lambda wildcards: table_settings(wildcards)["caption"],
    shell:
        "python scripts/make_table.py $(dirname {input.study[0]}) {wildcards.table}"
        " --csv {output.csv} --markdown {output.markdown} --latex {output.latex} > {log} 2>&1"


rule make_figure:
    """One figure of a study."""
    input:
        study=rules.collect_results.output,
        code=code_of("scripts/make_figure.py"),
    output:
        svg=report(
            "<results>/studies/{study}/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="{study}",
            subcategory="Figures",
            labels={"figure": "{figure}"},
        ),
        png="<results>/studies/{study}/figures/{figure}.png",
    log:
        "<logs>/studies/{study}/figures/{figure}.log",
    benchmark:
        "<benchmarks>/studies/{study}/figures/{figure}.tsv"
    params:
        caption=lambda wildcards: figure_settings(wildcards)["caption"],
    shell:
        "python scripts/make_figure.py $(dirname {input.study[0]}) {wildcards.figure} --output {output} > {log} 2>&1"


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
            category="{study}",
            labels={"page": "gallery"},
        ),
    log:
        "<logs>/studies/{study}/gallery.log",
    benchmark:
        "<benchmarks>/studies/{study}/gallery.tsv"
    params:
        gallery=gallery_arguments,
    shell:
        "python scripts/make_gallery.py $(dirname {input.study[0]}) {params.gallery:q} --output {output} > {log} 2>&1"


# The report draws its tables, figures and gallery itself, from the same library: a lost figure is redrawn alone.
rule make_report:
    """Everything about a study on one page."""
    input:
        unpack(gallery_inputs),
        study=rules.collect_results.output,
        code=code_of("scripts/make_report.py"),
        templates=TEMPLATES,
    output:
        report(
            "<results>/studies/{study}/report.html",
            caption="../report/report.rst",
            category="{study}",
            labels={"page": "report"},
        ),
    log:
        "<logs>/studies/{study}/report.log",
    benchmark:
        "<benchmarks>/studies/{study}/report.tsv"
    params:
        gallery=gallery_arguments,
    shell:
        "python scripts/make_report.py $(dirname {input.study[0]}) {params.gallery:q}"
        " --command 'snakemake --cores 8 {output}' --output {output} > {log} 2>&1"
