import test from 'ava';
import { launchedAs, nodeNames } from '../../../src/cli/launcher.ts';

test('a process that nobody launched has no rank', (t) => {
  t.is(launchedAs({}), undefined);
  t.is(launchedAs({ PMI_RANK: 'x', OMPI_COMM_WORLD_RANK: '' }), undefined);
});

test("MPICH's mpirun tells rank, local rank, size and the host as its hostfile has it", (t) => {
  const env = {
    MPIR_CVAR_CH3_INTERFACE_HOSTNAME: '127.0.0.3',
    MPI_LOCALNRANKS: '2',
    MPI_LOCALRANKID: '1',
    PMI_RANK: '3',
    PMI_SIZE: '4',
  };
  t.deepEqual(launchedAs(env), { launcher: 'MPICH', rank: 3, localRank: 1, size: 4 });
  t.deepEqual(nodeNames(env), ['127.0.0.3']);
});

test("Open MPI's mpirun tells rank, local rank and size", (t) => {
  const env = {
    OMPI_COMM_WORLD_RANK: '2',
    OMPI_COMM_WORLD_LOCAL_RANK: '0',
    OMPI_COMM_WORLD_SIZE: '4',
    PMIX_RANK: '2',
    PMIX_HOSTNAME: 'node2',
  };
  t.deepEqual(launchedAs(env), { launcher: 'Open MPI', rank: 2, localRank: 0, size: 4 });
  t.deepEqual(nodeNames(env), ['node2']);
});

test('srun tells rank, local rank and size, and the batch script around it does not', (t) => {
  const batch = { SLURM_PROCID: '0', SLURM_LOCALID: '0', SLURM_NTASKS: '8', SLURMD_NODENAME: 'n1' };
  t.is(launchedAs(batch), undefined);
  t.deepEqual(nodeNames(batch), []);
  const step = { ...batch, SLURM_STEP_ID: '0', SLURM_PROCID: '5', SLURM_LOCALID: '1' };
  t.deepEqual(launchedAs(step), { launcher: 'Slurm', rank: 5, localRank: 1, size: 8 });
  t.is(launchedAs({ ...step, SLURM_STEP_NUM_TASKS: '6' })?.size, 6);
  t.deepEqual(nodeNames(step), ['n1']);
});

test('srun with a PMI of MPICH gives the local rank in its own variable', (t) => {
  const env = { PMI_RANK: '5', PMI_SIZE: '8', SLURM_LOCALID: '1', SLURM_STEP_ID: '0' };
  t.deepEqual(launchedAs(env), { launcher: 'MPICH', rank: 5, localRank: 1, size: 8 });
});

test('PMIx alone tells the rank, and the size is no less than that', (t) => {
  t.deepEqual(launchedAs({ PMIX_RANK: '2' }), { launcher: 'PMIx', rank: 2, localRank: 0, size: 3 });
});
