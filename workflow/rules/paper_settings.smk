"""What jobs of papers.smk read and how they are called; functions of their wildcards."""

PUBLISHED = "config/published"
PUBLISHED_FILES = [f"{PUBLISHED}/{name}.csv" for name in ("results", "ranks", "datasets", "artifacts", "counts")]


def papers():
    """Studies of papers, and their rehearsals."""
    return [name for name, study in catalogue.studies.items() if "paper" in study]


def is_paper(study):
    return "paper" in catalogue.studies[study]


def claims_of_paper(wildcards):
    return f"config/claims/{study_config(wildcards.study)['paper']['id']}.yaml"


def judged_files(study, *names):
    """What is made of the runs of a paper besides tables and figures; nothing of another study."""
    names = names or ("measured.csv", "verdicts.csv", "agreement.csv", "comparisons.csv", "cells.json", "claims.csv")
    return [f"{config['results']}/studies/{study}/{name}" for name in names] if is_paper(study) else []


def data_of_figure(study, figure):
    """The file of what a figure needs besides scores, where it needs something."""
    spec = study_config(study)["figures"][figure]
    needed = spec["kind"] in ("class_bars", "vectorisers") and "unavailable" not in spec
    return [f"{config['results']}/studies/{study}/figure_data/{figure}.parquet"] if needed else []


def sources_of_table(wildcards):
    """What a table of a paper is made of besides the collected results."""
    judged = judged_files(wildcards.study, "measured.csv", "verdicts.csv")
    return {"judged": judged, "published": PUBLISHED_FILES} if judged else {}


def published_argument(wildcards):
    return ["--published", PUBLISHED] if is_paper(wildcards.study) else []


def sources_of_figure(wildcards):
    """What a figure of a paper is made of besides the collected results."""
    spec = study_config(wildcards.study)["figures"][wildcards.figure]
    ranks = spec["kind"] == "critical_difference"
    judged = judged_files(wildcards.study, "verdicts.csv") if ranks else []
    return {"judged": judged, "data": data_of_figure(wildcards.study, wildcards.figure)}


def sources_of_report(wildcards):
    """What the page of a paper tells besides the collected results."""
    data = [
        file for figure in study_config(wildcards.study)["figures"] for file in data_of_figure(wildcards.study, figure)
    ]
    judged = judged_files(wildcards.study)
    return {"judged": judged, "data": data, "published": PUBLISHED_FILES} if judged else {}


def sources_of_examples(wildcards):
    """What a figure shows besides scores: example pairs as a run embeds them, or words as vectorisers know them."""
    spec = study_config(wildcards.study)["figures"][wildcards.figure]
    if spec["kind"] == "vectorisers":
        folders = [f"{VECTORISATION}/{dataset}" for dataset in spec["datasets"]]
        return {"vectorisation": [f"{folder}/{name}.parquet" for folder in folders for name in ("scores", "answers")]}
    run = {**spec, "method": spec["methods"][0]}
    return {"pairs": data_of_run(run)["pairs"], "embeddings": f"{run_folder(run)}/embeddings.h5"}


def examples_arguments(wildcards):
    """How the script is told of `sources_of_examples`."""
    sources = sources_of_examples(wildcards)
    if "vectorisation" not in sources:
        return [part for name, file in sources.items() for part in (f"--{name}", file)]
    folders = dict.fromkeys(os.path.dirname(file) for file in sources["vectorisation"])
    return ["--vectorisation", *folders, "--about", as_json(titles_of_vectorisation(), sort_keys=False)]


def vectorisation_of_claims(wildcards):
    """The answers of the study of vectorisers, for the paper that is about them, where captions are to be had."""
    figures = study_config(wildcards.study)["figures"].values()
    datasets = catalogue.vectorisation["run"] if any(spec["kind"] == "vectorisers" for spec in figures) else []
    there = [dataset for dataset in datasets if not catalogue.missing_texts(dataset)]
    return [f"{VECTORISATION}/{dataset}/answers.parquet" for dataset in there]


def check_claims_of(study):
    """Refuse a claim that names what is neither printed nor in the study, before anything runs."""
    # pandas is slow to load: only who wants a paper's study waits for it.
    from cmr.papers.claims.check import Claims, check_names, check_printed
    from cmr.papers.published import Published

    paper, root = study_config(study)["paper"], Path(workflow.basedir)
    try:
        claims = Claims.read(root / f"config/claims/{paper['id']}.yaml", root / "workflow/schemas/claims.schema.yaml")
        check_names(claims, paper["settings"])
        check_printed(claims, Published.read(root / PUBLISHED))
    except UserError as error:
        raise WorkflowError(str(error)) from None


for study in filter(is_paper, catalogue.wanted_studies):
    check_claims_of(study)
