"""What jobs of vectorisation.smk read and how they are called; functions of their wildcards."""

VECTORISATION = f"{config['results']}/vectorisation"


def vectoriser_of(wildcards):
    return catalogue.vectoriser(wildcards.vectoriser)


def learnt_texts(wildcards):
    """The pairs and the split from whose train part vectorisers learn."""
    folder = f"{config['data']}/datasets/{wildcards.dataset}"
    return {"pairs": f"{folder}/pairs.parquet", "split": f"{folder}/splits/{split_of_vectorisers(wildcards)}.parquet"}


def split_of_vectorisers(wildcards):
    return catalogue.vectorised_split(wildcards.dataset)


def arguments_of_vectoriser(wildcards):
    settings = vectoriser_of(wildcards)
    assets = {option: f"{config['data']}/raw/{asset}" for option, asset in settings["assets"].items()}
    return [settings["implementation"], "--options", as_json(settings["options"]), "--assets", as_json(assets)]


def assets_of_vectoriser(wildcards):
    return manifests(vectoriser_of(wildcards)["assets"].values())


def code_of_vectoriser(wildcards):
    return code_of("scripts/learn_word_vectors.py", module_of(vectoriser_of(wildcards)["implementation"]))


def word_vectors_of_dataset(wildcards):
    return [f"{VECTORISATION}/{wildcards.dataset}/{name}.h5" for name in catalogue.vectorisation["vectorisers"]]


def compared_datasets(file):
    return [f"{VECTORISATION}/{dataset}/{file}.parquet" for dataset in catalogue.vectorisation["run"]]


def titles_of_vectorisation():
    """What the study calls its data sets and vectorisers, in its order."""
    settings = catalogue.vectorisation
    return {
        "datasets": {name: catalogue.dataset(name)["title"] for name in settings["run"]},
        "vectorisers": {name: vectoriser["title"] for name, vectoriser in settings["vectorisers"].items()},
    }
