/**
 * Which of several processes this one is, as the program that launched them tells in the environment: mpirun of MPICH
 * (Hydra) and of Open MPI, srun of Slurm, and what PMIx sets. Pure.
 */

type Environment = Readonly<Record<string, string | undefined>>;

/** One process among those of a launch. */
export interface LaunchedAs {
  /** Which launcher said so. */
  readonly launcher: string;
  /** From 0, over all nodes. */
  readonly rank: number;
  /** From 0, among those on this node. */
  readonly localRank: number;
  /** How many there are on all nodes. */
  readonly size: number;
}

/** The variables of one launcher; of several names the first that is set counts. */
interface LauncherRow {
  launcher: string;
  rank: string;
  localRank: string | undefined;
  size: readonly string[];
  /** Must be set, too. */
  requires?: string;
}

/**
 * Seen with MPICH 4.0.2 and Open MPI 4.1.4 of Debian 12; Slurm's from srun(1). A batch script that srun did not start has
 * SLURM_PROCID as well, but no SLURM_STEP_ID.
 */
const LAUNCHERS: readonly LauncherRow[] = [
  {
    launcher: 'Open MPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
    size: ['OMPI_COMM_WORLD_SIZE'],
  },
  { launcher: 'MPICH', rank: 'PMI_RANK', localRank: 'MPI_LOCALRANKID', size: ['PMI_SIZE'] },
  {
    launcher: 'Slurm',
    rank: 'SLURM_PROCID',
    localRank: 'SLURM_LOCALID',
    size: ['SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS'],
    requires: 'SLURM_STEP_ID',
  },
  {
    launcher: 'PMIx',
    rank: 'PMIX_RANK',
    localRank: 'PMIX_LOCAL_RANK',
    size: ['PMIX_SIZE'],
  },
];

/** Undefined for a process that no launcher started. */
export function launchedAs(env: Environment): LaunchedAs | undefined {
  for (const row of LAUNCHERS) {
    const rank = numberOf(env[row.rank]);
    if (rank === undefined) continue;
    if (row.requires !== undefined && env[row.requires] === undefined) continue;
    const size = row.size.map((name) => numberOf(env[name])).find((value) => value !== undefined);
    return {
      launcher: row.launcher,
      rank,
      localRank: localRank(env, row),
      size: Math.max(size ?? 1, rank + 1),
    };
  }
  return undefined;
}

/** srun with a PMI of MPICH's kind sets PMI_RANK, but the local rank is its own. */
function localRank(env: Environment, row: LauncherRow): number {
  const names = [row.localRank, 'SLURM_LOCALID'];
  const found = names.map((name) => (name === undefined ? undefined : numberOf(env[name])));
  return found.find((value) => value !== undefined) ?? 0;
}

/** Names by which launchers call this node, the likeliest to stand in a hostfile first. */
export function nodeNames(env: Environment): string[] {
  // Hydra hands each process its host as the hostfile has it; with Open MPI and Slurm it is the node's own name.
  const names = [
    env['MPIR_CVAR_CH3_INTERFACE_HOSTNAME'],
    env['SLURM_STEP_ID'] === undefined ? undefined : env['SLURMD_NODENAME'],
    env['PMIX_HOSTNAME'],
  ];
  return names.flatMap((name) => (name === undefined || name === '' ? [] : [name]));
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,7}$/.test(text) ? Number(text) : undefined;
}
