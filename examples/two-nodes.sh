#!/bin/sh
# A file system of several nodes, by hand: servers on four nodes, mounted on two more. Here the nodes are addresses of
# this machine; on real ones, run each line on its node, leave out --node, and use names instead of addresses.
#
#   examples/two-nodes.sh FOLDER        FOLDER: an empty one, for hostfiles, logs and mount points
set -eu

work=$(cd "${1:?usage: two-nodes.sh FOLDER}" && pwd)
PATH=$PATH:$(cd "$(dirname "$0")/../bin" && pwd)
cd "$work"
meta_port=${META_PORT:-5569}
data_port=${DATA_PORT:-5555}

# The same two files on every node: who keeps metadata, who keeps data.
printf '%s\n' "127.0.0.2:$meta_port" "127.0.0.3:$meta_port" >stat_hostfile
printf '%s\n' "127.0.0.4:$data_port" "127.0.0.5:$data_port" >hostfile
# Nodes that share a home folder find the same secret there; others are given a copy.
secret="--secret-file $work/secret"

stop() {
  umount-imss client1 || true
  umount-imss --stop-servers --force --meta-hostfile stat_hostfile $secret
}
trap stop EXIT

# On 127.0.0.2 and .3: metadata servers. On .4 and .5: block servers. In any order; --daemon returns when one is ready.
imssfs server meta -a stat_hostfile --node 127.0.0.2 $secret --daemon --log-file meta2.log
imssfs server meta -a stat_hostfile --node 127.0.0.3 $secret --daemon --log-file meta3.log
imssfs server blocks -h hostfile -a stat_hostfile --node 127.0.0.4 -S 256M $secret --daemon --log-file data4.log
imssfs server blocks -h hostfile -a stat_hostfile --node 127.0.0.5 -S 256M $secret --daemon --log-file data5.log

# On both clients: mount. The second one names only a metadata server, as a line of fstab does.
mkdir -p client1 client2
imssfs -d 2 -h hostfile -a stat_hostfile $secret --log-file client1.log client1
imssfs -o "secret_file=$work/secret" --log-file client2.log "127.0.0.2:$meta_port,127.0.0.3:$meta_port:/" client2

# What one writes, the other reads.
echo "written on client 1" >client1/hello
cat client2/hello
imssfs info client2/hello
imssfs status -a stat_hostfile $secret

umount-imss client2
