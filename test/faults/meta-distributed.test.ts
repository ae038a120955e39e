/** Random operations over three metadata servers that lose messages, memory and each other, checked against a plain model. */
import test from 'ava';
import { MemoryDatabase } from '../support/metadata-cluster/memory-database.ts';
import { runRandomly } from '../support/metadata-cluster/run.ts';
import { runScenario, SCENARIOS } from '../support/metadata-cluster/steps.ts';

/** IMSSFS_TEST_SEED repeats one run, IMSSFS_TEST_MODEL_RUNS multiplies their number. */
const GIVEN = process.env['IMSSFS_TEST_SEED'];
const RUNS = 20 * Number(process.env['IMSSFS_TEST_MODEL_RUNS'] ?? 1);
const SEEDS =
  GIVEN === undefined ? Array.from({ length: RUNS }, (_, index) => index + 1) : [Number(GIVEN)];

test('concurrent operations over three servers take place one after the other', async (t) => {
  for (const seed of SEEDS) {
    const databases = [new MemoryDatabase(), new MemoryDatabase(), new MemoryDatabase()];
    const report = await runRandomly({
      seed,
      databases,
      clients: 6,
      operationsPerClient: 30,
      faults: false,
    });
    t.deepEqual(report.problems, [], `IMSSFS_TEST_SEED=${seed}`);
    t.true(report.succeeded > 20 && report.sightings > 20, `IMSSFS_TEST_SEED=${seed}`);
  }
});

test('they do so, and each exactly once, when servers and clients are killed', async (t) => {
  for (const seed of SEEDS) {
    const databases = [new MemoryDatabase(), new MemoryDatabase(), new MemoryDatabase()];
    const report = await runRandomly({
      seed,
      databases,
      clients: 6,
      operationsPerClient: 30,
      faults: true,
    });
    t.deepEqual(report.problems, [], `IMSSFS_TEST_SEED=${seed}`);
    t.true(report.succeeded > 20 && report.sightings > 20, `IMSSFS_TEST_SEED=${seed}`);
  }
});

for (const scenario of SCENARIOS) {
  test(`${scenario.title} is done once or not at all, whoever is killed at whatever step`, async (t) => {
    const undisturbed = await runScenario(scenario);
    t.deepEqual(undisturbed.problems, []);
    t.is(undisturbed.result, 'OK');
    for (const victim of [0, 1, 2, 'client'] as const) {
      for (let before = 0; before < undisturbed.messages; before++) {
        const { problems, result } = await runScenario(scenario, { victim, before });
        t.deepEqual(problems, [], `${victim} killed before message ${before}`);
        if (victim !== 'client') t.is(result, 'OK', `${victim} killed before message ${before}`);
      }
    }
  });
}
