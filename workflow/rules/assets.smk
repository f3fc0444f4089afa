"""Outside files, from mirrors, package managers or the network."""


localrules:
    obtain_asset,


rule obtain_asset:
    """Find or fetch one outside file, verify it and unpack it; or copy a folder of the user's.

    Only where the file comes from is a reason to fetch it again: its digest says what it is, whatever the code, the
    mirrors or the words about it.
    """
    output:
        manifest="<data>/raw/{asset}/asset.json",
    log:
        "<logs>/assets/{asset}.log",
    conda:
        "../../environment.yml"
    params:
        root=ROOT,
        sources=sources_of_asset,
    shell:
        "python scripts/obtain_asset.py {wildcards.asset} --root {params.root:q}"
        " --manifest {output.manifest} > {log} 2>&1"
