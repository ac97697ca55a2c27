#!/usr/bin/env bash
# A real Slurm cluster on loopback, as root, without systemd: munge, slurmctld and some slurmd, from Debian's packages.
#
#   slurm-up.sh start [N]          N virtual nodes on this host [2], named n1..nN
#   slurm-up.sh stop | status | env
#   slurm-up.sh kill-node NAME     slurmd and all that runs on the node, as a power cut does
#   slurm-up.sh kill-slurmd NAME   slurmd alone: what runs there goes on
#   slurm-up.sh start-node NAME
#   slurm-up.sh stop-controller | start-controller
#
# All of it lies under $SLURM_LAB [/tmp/layerwise-slurm]; /etc stays as it is. Where it cannot be had, it says why after "SKIPPED" and
# ends with 77. SLURM_ACCT=1 also starts MariaDB and slurmdbd, so that sacct answers. Knobs: SLURM_NODE_CPUS [4], SLURM_NODE_MEM [2000 MiB], SLURM_PORT_BASE [17817], SLURM_MINJOBAGE [300 s].
set -euo pipefail
LAB=${SLURM_LAB:-/tmp/layerwise-slurm}
CPUS=${SLURM_NODE_CPUS:-4} MEM=${SLURM_NODE_MEM:-2000} PORT=${SLURM_PORT_BASE:-17817} ACCT=${SLURM_ACCT:-0} AGE=${SLURM_MINJOBAGE:-300}
export SLURM_CONF=$LAB/slurm.conf
HOST=$(hostname -s)

skip() { echo "SKIPPED: no Slurm cluster here: $*" >&2; exit 77; }
# Running, and not a zombie: where nobody reaps, a signal still finds those.
alive() { local p; p=$(cat "$1" 2>/dev/null) && [ -n "$p" ] && [ -e "/proc/$p/status" ] && ! grep -qs '^State:.*Z' "/proc/$p/status"; }
end_all() { # pid files: TERM, four seconds for all together, KILL
    local file turn left
    for file in "$@"; do if alive "$file"; then kill "$(cat "$file")" 2>/dev/null || true; fi; done
    for turn in $(seq 40); do
        left=0
        for file in "$@"; do if alive "$file"; then left=1; fi; done
        if [ $left = 0 ]; then break; fi
        sleep .1
    done
    for file in "$@"; do if alive "$file"; then kill -9 "$(cat "$file")" 2>/dev/null || true; fi; rm -f "$file"; done
}
# Processes that this cluster started on a node (all nodes, without an argument).
processes_of() {
    local environ
    for environ in /proc/[0-9]*/environ; do
        if { tr '\0' '\n' <"$environ"; } 2>/dev/null | grep -qx "SLURM_CONF=$SLURM_CONF" &&
            { tr '\0' '\n' <"$environ"; } 2>/dev/null | grep -q "^SLURMD_NODENAME=${1:-}"; then
            environ=${environ#/proc/}
            echo "${environ%/environ}"
        fi
    done
}

install() {
    local want="slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins" programs="slurmctld slurmd sbatch munged"
    if [ "$ACCT" = 1 ]; then
        want+=" slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core" programs+=" slurmdbd mariadbd mariadb"
    fi
    if [ "$(command -v $programs | wc -l)" = "$(wc -w <<<"$programs")" ]; then return; fi
    command -v apt-get >/dev/null || skip "its packages are not installed, and there is no apt-get"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=600 -y -q --no-install-recommends $want; } \
        >"$LAB/apt.log" 2>&1 || skip "apt-get could not install $want ($LAB/apt.log)"
}

# Version 1 of control groups with memory, so that jobs really run out of it.
has_cgroup() { [ -w /sys/fs/cgroup/memory ] && [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; }

configure() { # number of nodes
    local nodes="" i version
    for i in $(seq "$1"); do
        nodes+="NodeName=n$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 10 + i)) CPUs=$CPUS RealMemory=$MEM State=UNKNOWN"$'\n'
    done
    local track=linuxproc task=none memory="JobAcctGatherParams=OverMemoryKill" accounting="AccountingStorageType=accounting_storage/none"
    if [ "$ACCT" = 1 ]; then
        # The link to slurmdbd has a munge socket of its own setting.
        accounting=$(printf 'AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\nAccountingStoragePort=%s\nAccountingStoragePass=%s' \
            $((PORT + 2)) "$LAB/munge/socket")
    fi
    if has_cgroup; then track=cgroup task=cgroup memory=""; fi
    cat >"$LAB/slurm.conf" <<CONF
ClusterName=layerwise
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$LAB/munge/socket
CredType=cred/munge
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd-%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd-%n.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/$track
TaskPlugin=task/$task
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
$memory
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1,sched_min_interval=20000
DefMemPerCPU=50
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
InactiveLimit=0
KillWait=2
UnkillableStepTimeout=60
MinJobAge=$AGE
MaxArraySize=10001
JobRequeue=1
$accounting
${nodes}PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
    version=$(slurmd -V | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
    if has_cgroup; then
        printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainRAMSpace=yes\nConstrainSwapSpace=yes\nConstrainCores=no\n' >"$LAB/cgroup.conf"
    elif [ "${version%%.*}" -ge 23 ]; then
        echo CgroupPlugin=disabled >"$LAB/cgroup.conf"
    else
        rm -f "$LAB/cgroup.conf"
    fi
}

start_munge() {
    if alive "$LAB/munge/pid"; then return; fi
    if [ ! -s "$LAB/munge/key" ]; then (umask 077; head -c 1024 /dev/urandom >"$LAB/munge/key"); fi
    chmod 711 "$LAB/munge"
    rm -f "$LAB/munge/socket"*
    munged --key-file="$LAB/munge/key" --socket="$LAB/munge/socket" --pid-file="$LAB/munge/pid" \
        --log-file="$LAB/munge/log" --seed-file="$LAB/munge/seed" --num-threads=2 2>>"$LAB/log/munge.err"
}
start_accounting() {
    if [ "$ACCT" != 1 ]; then return; fi
    local sql="mariadb --no-defaults -uroot -S $LAB/run/db.sock" turn
    if [ ! -d "$LAB/db/mysql" ]; then
        mariadb-install-db --no-defaults --datadir="$LAB/db" --user=root --auth-root-authentication-method=socket --skip-test-db >"$LAB/log/db.log" 2>&1
    fi
    if ! alive "$LAB/run/mariadbd.pid"; then
        setsid mariadbd --no-defaults --user=root --datadir="$LAB/db" --socket="$LAB/run/db.sock" --pid-file="$LAB/run/mariadbd.pid" \
            --bind-address=127.0.0.1 --port=$((PORT + 3)) --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 >>"$LAB/log/db.log" 2>&1 </dev/null &
        for turn in $(seq 300); do if $sql -e 'select 1' >/dev/null 2>&1; then break; fi; sleep .1; done
        $sql -e "create database if not exists slurm_acct_db; create user if not exists slurm@'127.0.0.1' identified by 'lab'; grant all on slurm_acct_db.* to slurm@'127.0.0.1'"
    fi
    (umask 077; cat >"$LAB/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$LAB/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((PORT + 2))
SlurmUser=root
PidFile=$LAB/run/slurmdbd.pid
LogFile=$LAB/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT + 3))
StorageUser=slurm
StoragePass=lab
StorageLoc=slurm_acct_db
CONF
    )
    if ! alive "$LAB/run/slurmdbd.pid"; then slurmdbd; fi
    for turn in $(seq 100); do if sacctmgr -n -i show cluster >/dev/null 2>&1; then break; fi; sleep .1; done
    sacctmgr -n -i add cluster layerwise >/dev/null 2>&1 || true
}
start_controller() { if ! alive "$LAB/run/slurmctld.pid"; then slurmctld -f "$SLURM_CONF" "$@"; fi; }
start_node() { if ! alive "$LAB/run/slurmd-$1.pid"; then mkdir -p "$LAB/spool/$1"; slurmd -N "$1" -f "$SLURM_CONF"; fi; }
kill_slurmd() { kill -9 "$(cat "$LAB/run/slurmd-$1.pid")"; rm -f "$LAB/run/slurmd-$1.pid"; }
nodes() { grep -oE '^NodeName=[a-z0-9]+' "$SLURM_CONF" | cut -d= -f2; }

start() {
    local n=${1:-2} node turn
    [ "$(id -u)" = 0 ] || skip "only root can start its daemons"
    mkdir -p "$LAB"/{run,log,state,spool,munge}
    chmod 755 "$LAB"
    install
    if ! alive "$LAB/run/slurmctld.pid"; then configure "$n"; fi
    start_munge
    start_accounting
    start_controller -i
    for node in $(nodes); do start_node "$node"; done
    for turn in $(seq 600); do
        if [ "$(sinfo -h -N -o '%T' 2>/dev/null | grep -cE '^(idle|mixed|allocated)$')" = "$(nodes | wc -l)" ]; then
            return
        fi
        sleep .1
    done
    tail -n 5 "$LAB"/log/*.log >&2
    skip "it does not come up ($LAB/log)"
}

stop() {
    if [ ! -d "$LAB" ]; then return; fi
    if alive "$LAB/run/slurmctld.pid"; then timeout 5 scancel -u root --quiet 2>/dev/null || true; fi
    end_all "$LAB"/run/slurmd-*.pid "$LAB/run/slurmctld.pid"
    end_all "$LAB/run/slurmdbd.pid"
    end_all "$LAB/run/mariadbd.pid" "$LAB/munge/pid"
    # Daemons of steps outlive slurmd on purpose.
    for pid in $(processes_of); do kill -9 "$pid" 2>/dev/null || true; done
    for spool in "$LAB"/spool/*; do
        find /sys/fs/cgroup/*/slurm_"${spool##*/}" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
}

case "${1:-start}" in
start) start "${2:-}" ;;
stop) stop ;;
status) sinfo -N -l; squeue -a ;;
env) echo "export SLURM_CONF=$SLURM_CONF" ;;
kill-slurmd) kill_slurmd "$2" ;;
kill-node)
    kill_slurmd "$2"
    pids=$(processes_of "$2")
    # Those that would report the end of a job go before it.
    for pid in $pids; do
        parent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
        if grep -qs '^slurmstepd' "/proc/$parent/comm"; then kill -9 "$parent" 2>/dev/null || true; fi
    done
    for pid in $pids; do kill -9 "$pid" 2>/dev/null || true; done
    ;;
start-node) start_node "$2"; scontrol update nodename="$2" state=resume 2>/dev/null || true ;;
stop-controller) end_all "$LAB/run/slurmctld.pid" ;;
start-controller) start_controller ;;
*) sed -n 2,14p "$0"; exit 2 ;;
esac
