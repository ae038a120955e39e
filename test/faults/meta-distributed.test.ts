/** Random operations over three metadata servers that lose messages, memory and each other, checked against a plain model. */
import test from 'ava';
import { MemoryDatabase } from '../support/metadata-cluster/memory-database.ts';
import { runRandomly } from '../support/metadata-cluster/run.ts';
import { runScenario, SCENARIOS } from '../support/metadata-cluster/steps.ts';

test('concurrent operations over three servers take place one after the other', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const databases = [new MemoryDatabase(), new MemoryDatabase(), new MemoryDatabase()];
    const report = await runRandomly({
      seed,
      databases,
      clients: 6,
      operationsPerClient: 30,
      faults: false,
    });
    t.log(seed, JSON.stringify(report));
    t.deepEqual(report.problems, [], `seed ${seed}`);
  }
});

test('they do so, and each exactly once, when servers and clients are killed', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const databases = [new MemoryDatabase(), new MemoryDatabase(), new MemoryDatabase()];
    const report = await runRandomly({
      seed,
      databases,
      clients: 6,
      operationsPerClient: 30,
      faults: true,
    });
    t.log(seed, JSON.stringify(report));
    t.deepEqual(report.problems, [], `seed ${seed}`);
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
