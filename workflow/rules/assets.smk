"""Outside files, from mirrors, package managers or the network."""


localrules:
    obtain_asset,


rule obtain_asset:
    """Find or fetch one outside file, verify it and unpack it."""
    input:
        code=code_of("scripts/obtain_asset.py"),
    output:
        manifest="<data>/raw/{asset}/asset.json",
    log:
        "<logs>/assets/{asset}.log",
    conda:
        "../../environment.yml"
    params:
        spec=lambda wildcards: as_json(catalogue.assets[wildcards.asset]),
        mirrors=config["mirrors"],
    shell:
        "python scripts/obtain_asset.py {wildcards.asset} --spec {params.spec:q} --mirrors {params.mirrors:q}"
        " --manifest {output.manifest} > {log} 2>&1"
