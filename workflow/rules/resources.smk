"""What jobs ask of a cluster, from the size of what they read; a machine of one's own is not limited by it.

About four times what was measured, as a job that asks for too little is lost and one that asks for too much waits. Each
further attempt asks for as much again: a training or extraction that ran out of time goes on from its checkpoint.
Estimates are no parameters: nothing is made again when they change.
"""


# Of seconds each, whatever the data: not worth a place in a queue. Nor do all nodes reach the network that assets need.
localrules:
    obtain_asset,
    make_split,
    gather_image_shards,
    summarise_vectorisers,
    collect_examples,
    make_table,
    make_figure,
    make_gallery,
    make_view_comparison,
    make_report,
    make_front_page,


def memory(base, per_megabyte=0):
    """A resource function: MB of memory. While inputs are still to be made, Snakemake shows <TBD> and asks again."""
    return lambda wildcards, input, attempt: attempt * (base + per_megabyte * megabytes_read(input))


def minutes(base, per_megabyte=0):
    """A resource function: minutes until the job is stopped."""
    return lambda wildcards, input, attempt: attempt * (base + round(per_megabyte * megabytes_read(input)))


def by_device(gpus, on_cpu, on_gpu):
    """A resource function: one for jobs that ask for a GPU, another for those that do not."""
    return lambda wildcards, input, attempt: (on_gpu if gpus(wildcards) else on_cpu)(wildcards, input, attempt)


def megabytes_read(input):
    """Of all input files but code, rounded up; a view in shards is as large as these."""
    files = [Path(file) for file in input if not file.endswith(".py")]
    shards = [shard for file in files if config["shards"] for shard in file.parent.glob(f"{file.stem}.*-of-*.h5")]
    return -(-sum(file.stat().st_size for file in [*files, *shards]) // 10**6)


def check_device():
    """Refuse to ask a login node for the GPU of its jobs."""
    if workflow.non_local_exec and config["device"] == "auto":
        raise WorkflowError(
            'device "auto" asks this machine whether it has a GPU, and jobs run elsewhere; give "device: cuda" for '
            'networks on GPUs or "device: cpu" in config/config.yaml or by --config'
        )


def ask_squeue_alone():
    """Keep the executor from asking sacct for what squeue is to tell; see workflow/squeue/sacct."""
    if getattr(workflow.executor_settings, "status_command", None) == "squeue":
        os.environ.update(
            PATH=os.pathsep.join([f"{workflow.basedir}/workflow/squeue", os.environ.get("PATH", os.defpath)])
        )
