"""Outside files, from mirrors, package managers or the network."""


rule obtain_asset:
    """Find or fetch one outside file, verify it and unpack it; or copy a folder of the user's.

    Only another content is a reason to fetch it again, not other addresses, mirrors, code or words about it.
    """
    output:
        manifest="<data>/raw/{asset}/asset.json",
    log:
        "<logs>/assets/{asset}.log",
    conda:
        "../../environment.yml"
    params:
        root=ROOT,
        content=content_of_asset,
    shell:
        "python scripts/obtain_asset.py {wildcards.asset:q} --root {params.root:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"
