#!/bin/sh
# Servers started by mpirun of MPICH or Open MPI: each process finds out from the launcher which server it is. The job
# then mounts, works, and stops all.
#
#   examples/mpirun.sh FOLDER           FOLDER: with the files hostfile and stat_hostfile, one host a line
#   MPIRUN="mpirun.mpich -launcher ssh -f" examples/mpirun.sh FOLDER      for MPICH; for Open MPI: "mpirun --pernode --hostfile"
set -eu

work=$(cd "${1:?usage: mpirun.sh FOLDER}" && pwd)
PATH=$PATH:$(cd "$(dirname "$0")/../bin" && pwd)
cd "$work"
mpirun=${MPIRUN:-mpirun.mpich -f}
metas=$(grep -c '^[^#]' stat_hostfile)
servers=$(grep -c '^[^#]' hostfile)
# With MPICH, hosts are those of the file without their ports.
sed 's/:.*//' stat_hostfile >stat_nodes
sed 's/:.*//' hostfile >nodes
secret="--secret-file $work/secret"

$mpirun stat_nodes -np "$metas" imssfs server meta -a "$work/stat_hostfile" $secret &
meta_job=$!
$mpirun nodes -np "$servers" imssfs server blocks -h "$work/hostfile" -a "$work/stat_hostfile" -S 256M $secret &
data_job=$!
mkdir -p mnt
stop() {
  umount-imss --stop-servers --force --meta-hostfile stat_hostfile $secret mnt || kill "$meta_job" "$data_job"
  wait
}
trap stop EXIT

# Waits until all servers are there.
imssfs -d 2 -h hostfile -a stat_hostfile $secret --log-file mount.log mnt
seq 100000 >mnt/numbers
wc -l <mnt/numbers
