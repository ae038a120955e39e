/** A Slurm cluster of this one machine, in a network of its own, for as long as one job takes. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type RunResult, run } from './run.ts';

const DAEMONS = ['slurmctld', 'slurmd', 'munged'];

/** Whether the Debian packages slurmctld, slurmd, slurm-client and munge are here, and may be used: by root. */
export const hasSlurm =
  process.getuid?.() === 0 &&
  [...DAEMONS, 'sbatch', 'srun'].every(
    (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0,
  );

function configuration(folder: string): string {
  const settings = {
    ClusterName: 'test',
    SlurmctldHost: `${hostname()}(127.0.0.1)`,
    SlurmUser: 'root',
    SlurmdUser: 'root',
    AuthType: 'auth/munge',
    AuthInfo: `socket=${folder}/munge/socket`,
    ProctrackType: 'proctrack/linuxproc',
    TaskPlugin: 'task/none',
    SlurmctldPidFile: `${folder}/slurmctld.pid`,
    SlurmdPidFile: `${folder}/slurmd.pid`,
    SlurmdSpoolDir: `${folder}/spool`,
    StateSaveLocation: `${folder}/state`,
    SlurmctldLogFile: `${folder}/slurmctld.log`,
    SlurmdLogFile: `${folder}/slurmd.log`,
    // The example asks for more tasks than a small machine has CPUs.
    SlurmdParameters: 'config_overrides',
    SelectType: 'select/cons_tres',
    AccountingStorageType: 'accounting_storage/none',
    JobAcctGatherType: 'jobacct_gather/none',
  };
  const node = `NodeName=localhost NodeHostname=${hostname()} NodeAddr=127.0.0.1 CPUs=8`;
  return [
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    `${node} State=UNKNOWN`,
    'PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP',
    '',
  ].join('\n');
}

/** Starts the daemons, runs the job in the folder `job`, shows what it said, ends the daemons. */
const SCRIPT = `
set -eu
ip link set lo up
# Names are looked up only where there is an address beside 127.0.0.1 (AI_ADDRCONFIG).
ip address add 192.0.2.1/32 dev lo
trap 'kill $(jobs -p); wait' EXIT
munged --foreground --force --num-threads=1 --key-file=munge/key --seed-file=munge/seed \\
  --pid-file=munge/pid --log-file=munge/log --socket="$PWD/munge/socket" &
slurmctld -D &
slurmd -D -N localhost &
for attempt in $(seq 100); do
  [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && break
  sleep 0.2
done
cd job
status=0
sbatch --wait --nodes=1 --output=said "$@" || status=$?
cat said
exit $status
`;

/** Runs a batch script to its end in `folder`. What it says is the result's output. */
export function runJob(
  folder: string,
  batch: readonly string[],
  options: { env: Record<string, string>; timeoutMs: number },
): Promise<RunResult> {
  for (const name of ['munge', 'spool', 'state', 'job']) mkdirSync(`${folder}/${name}`);
  writeFileSync(`${folder}/munge/key`, Buffer.alloc(128, 'imssfs'), { mode: 0o400 });
  writeFileSync(`${folder}/slurm.conf`, configuration(folder));
  const env = { ...options.env, SLURM_CONF: `${folder}/slurm.conf` };
  return run('unshare', ['--net', 'bash', '-c', SCRIPT, 'job', ...batch], {
    ...options,
    env,
    cwd: folder,
    endsGroup: true,
  });
}
