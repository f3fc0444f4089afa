"""A real SLURM of one node on this machine: controller, node, authentication, and a GPU that only pretends."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Jobs read their configuration here and nowhere else: the executor drops SLURM_CONF from their environment.
FOLDER = Path("/etc/slurm")
MARK = "# Made by tests/slurm; removed when they end."
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
MUNGE = Path("/run/munge")

# The node is said to have two cores and 64 GB, whatever the machine has: what jobs ask for is more than what they need.
# Memory is enforced by looking at the processes each second, as a node without control groups does it.
CONFIGURATION = """{mark}
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={state}/completed.txt
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
KillWait=2
OverTimeLimit=0
JobRequeue=0
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
StateSaveLocation={state}/state
SlurmdSpoolDir={state}/spool
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def obstacle() -> str | None:
    """Why no cluster can be started here; None if one can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "only root can start a SLURM whose configuration lies in /etc/slurm"
    if not Path("/etc/munge/munge.key").exists():
        return "munge has no key"
    configuration = FOLDER / "slurm.conf"
    if configuration.exists() and not configuration.read_text().startswith(MARK):
        return f"{configuration} belongs to another cluster"
    return None


@dataclass
class Cluster:
    """One node of two partitions, `cpu` and `gpu`. What it keeps lies in `state`, a folder of its own."""

    state: Path
    own_munge: bool = False

    def start(self) -> None:
        """Configure and start everything; returns when the node takes jobs."""
        self._end_earlier()
        host = socket.gethostname()
        for folder in ("state", "spool"):
            (self.state / folder).mkdir(parents=True)
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "slurm.conf").write_text(CONFIGURATION.format(mark=MARK, host=host, state=self.state))
        (FOLDER / "gres.conf").write_text(f"{MARK}\nNodeName={host} Name=gpu File=/dev/null\n")
        if not output("munge", "--no-input"):  # that of the machine will do
            self.own_munge = True
            run("install", "-d", "-o", "munge", "-g", "munge", "-m", "0755", str(MUNGE))
            as_munge = ("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups")
            run(*as_munge, "munged", f"--pid-file={MUNGE}/munged.pid", f"--log-file={MUNGE}/munged.log")
        run("slurmctld")
        run("slurmd")
        wait_until(lambda: "idle" in output("sinfo", "-h", "-o", "%T"), "the node is idle")

    def stop(self) -> None:
        """End what `start` started, by process id, and take its configuration away."""
        output("scancel", "--user=root")
        for file in (self.state / "slurmd.pid", self.state / "slurmctld.pid", *[MUNGE / "munged.pid"] * self.own_munge):
            end(file)
        for name in ("slurm.conf", "gres.conf"):
            (FOLDER / name).unlink(missing_ok=True)

    def _end_earlier(self) -> None:
        """End the daemons of tests that were killed before they could."""
        configuration = FOLDER / "slurm.conf"
        for line in configuration.read_text().splitlines() if configuration.exists() else ():
            key, _, value = line.partition("=")
            if key in ("SlurmdPidFile", "SlurmctldPidFile"):
                end(Path(value))

    def restart_controller(self, pause: float) -> None:
        """Kill the controller, as a crash would, and start it again after some seconds."""
        end(self.state / "slurmctld.pid", signal.SIGKILL)
        time.sleep(pause)
        run("slurmctld")

    def queue(self, folder: Path) -> list[str]:
        """SLURM's numbers of the jobs of a working folder that wait, run, or are ending."""
        lines = output("squeue", "-h", "--states=pending,running,completing", "-o", "%i|%Z").splitlines()
        return [number for number, where in (line.split("|", 1) for line in lines) if where == str(folder)]

    def ended(self, folder: Path) -> list[dict[str, str]]:
        """What SLURM wrote of each job of a working folder that has ended: JobState, Partition, TimeLimit, Tres, ..."""
        file = self.state / "completed.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        jobs = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return [job for job in jobs if job["WorkDir"] == str(folder)]


def run(*command: str) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def output(*command: str) -> str:
    """The standard output of a command that may fail, as when the controller is being restarted."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env=_environment()).stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}


def wait_until(holds: Callable[[], object], what: str, seconds: float = 60):
    """The first true value of `holds`."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return value


def end(pid_file: Path, how: signal.Signals = signal.SIGTERM) -> None:
    """End the daemon that wrote this file, and wait until it is gone."""
    try:
        pid = int(pid_file.read_text())
        # Its number may be another's by now.
        if Path(f"/proc/{pid}/comm").read_text().strip() == pid_file.stem:
            os.kill(pid, how)
    except (FileNotFoundError, ProcessLookupError):
        return
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} of {pid_file.name} has ended", 30)
    pid_file.unlink(missing_ok=True)
