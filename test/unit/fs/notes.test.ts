import test from 'ava';
import { type Note, Notes } from '../../../src/fs/notes.ts';
import { runSync, runTask } from '../../../src/task.ts';

/** Notes to a store that answers when it is told to. */
function slow(intervalMs?: number): {
  notes: Notes;
  sent: Note[];
  answer: (error?: Error) => void;
} {
  const sent: Note[] = [];
  const waiting: ((error?: Error) => void)[] = [];
  const notes = new Notes(async (note) => {
    sent.push(note);
    await new Promise<void>((resolve, reject) => {
      waiting.push((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }, intervalMs);
  return { notes, sent, answer: (error) => waiting.shift()?.(error) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a store in this process has heard of a write when add returns', (t) => {
  const sent: Note[] = [];
  const notes = new Notes((note) => {
    sent.push(note);
  });
  notes.add({ endBytes: 3, storedDelta: 1 });
  t.deepEqual(sent, [{ endBytes: 3, storedDelta: 1 }]);
  t.false(notes.pending);
  runSync(notes.settle());
});

test('what a store in this process fails with is thrown by add', (t) => {
  const notes = new Notes(() => {
    throw new Error('full');
  });
  t.throws(
    () => {
      notes.add({ endBytes: 1, storedDelta: 1 });
    },
    { message: 'full' },
  );
  t.false(notes.pending);
});

test('notes that wait become one: the farthest end, the sum of what is stored', async (t) => {
  const { notes, sent, answer } = slow();
  notes.add({ endBytes: 10, storedDelta: 10 });
  notes.add({ endBytes: 30, storedDelta: 5 });
  notes.add({ endBytes: 20, storedDelta: -2 });
  t.is(sent.length, 1);
  const settled = runTask(notes.settle());
  answer();
  await turn();
  t.deepEqual(sent[1], { endBytes: 30, storedDelta: 3 });
  t.true(notes.pending);
  answer();
  await settled;
  t.false(notes.pending);
  t.is(sent.length, 2);
});

test('a failure waits for settle, is thrown once, and keeps no later note back', async (t) => {
  const { notes, sent, answer } = slow();
  notes.add({ endBytes: 1, storedDelta: 1 });
  notes.add({ endBytes: 2, storedDelta: 1 });
  const paused = runTask(notes.pause());
  answer(new Error('first'));
  await turn();
  t.is(sent.length, 2);
  answer(new Error('second'));
  await paused;
  t.throws(
    () => {
      runSync(notes.settle());
    },
    { message: 'first' },
  );
});

test('a writer that goes on sends no note beside each block, until somebody waits for it', async (t) => {
  const { notes, sent, answer } = slow(60_000);
  notes.add({ endBytes: 1, storedDelta: 1 });
  answer();
  await turn();
  t.false(notes.pending);
  notes.add({ endBytes: 2, storedDelta: 1 });
  notes.add({ endBytes: 3, storedDelta: 1 });
  t.true(notes.pending);
  t.is(sent.length, 1);
  const settled = runTask(notes.settle());
  await turn();
  t.deepEqual(sent[1], { endBytes: 3, storedDelta: 2 });
  answer();
  await settled;
  t.false(notes.pending);
});

test('how far the data reaches is told again when block 0 did not hear of it, what it takes is not', async (t) => {
  const { notes, sent, answer } = slow();
  notes.add({ endBytes: 10, storedDelta: 10 });
  answer(new Error('away'));
  await t.throwsAsync(
    async () => {
      await runTask(notes.settle());
    },
    { message: 'away' },
  );
  const settled = runTask(notes.settle());
  await turn();
  t.deepEqual(sent[1], { endBytes: 10, storedDelta: 0 });
  answer();
  await settled;
  t.notThrows(() => {
    runSync(notes.settle());
  });
  t.is(sent.length, 2);
});
