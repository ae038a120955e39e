import test from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { MapBoard } from '../../../src/meta/map-board.ts';
import { MAP_LEASE_MS, MapLeases } from '../../../src/meta/map-leases.ts';
import {
  type BlockReport,
  DOWN_AFTER_MS,
  Presence,
  SILENT_AFTER_MS,
} from '../../../src/meta/presence.ts';

const REPORT: BlockReport = {
  usedBytes: 1,
  datasets: 2,
  requestsPerSecond: 3,
  uptimeMs: 4,
  clients: 5,
};

test('a server is up while it is heard, then silent, then down, and up again when it is back', (t) => {
  const clock = new ManualClock();
  const presence = new Presence(clock);
  t.is(presence.stateOf(0, undefined), 'awaited');
  presence.arrived(0, 'a');
  t.is(presence.stateOf(0, 'a'), 'up');
  clock.advance(SILENT_AFTER_MS - 1);
  t.is(presence.stateOf(0, 'a'), 'up');
  clock.advance(1);
  t.is(presence.stateOf(0, 'a'), 'silent');
  t.true(presence.heard(0, 'a', REPORT));
  t.is(presence.stateOf(0, 'a'), 'up');
  t.is(presence.reportOf(0, 'a'), REPORT);
  clock.advance(DOWN_AFTER_MS);
  t.is(presence.stateOf(0, 'a'), 'down');
  presence.arrived(0, 'a');
  t.is(presence.stateOf(0, 'a'), 'up');
  t.is(presence.reportOf(0, 'a'), REPORT);
});

test('a server whose connection ended is silent at once, one that said so is down', (t) => {
  const presence = new Presence(new ManualClock());
  presence.arrived(0, 'a');
  presence.disconnected(0, 'a');
  t.is(presence.stateOf(0, 'a'), 'silent');
  presence.ended(0, 'a');
  t.is(presence.stateOf(0, 'a'), 'down');
  t.false(presence.heard(0, 'a', REPORT));
});

test('a former life changes nothing of the present one', (t) => {
  const presence = new Presence(new ManualClock());
  presence.arrived(0, 'a');
  presence.arrived(0, 'b');
  t.false(presence.heard(0, 'a', REPORT));
  presence.disconnected(0, 'a');
  presence.ended(0, 'a');
  t.is(presence.stateOf(0, 'b'), 'up');
  t.is(presence.reportOf(0, 'b'), undefined);
});

test('a server that the map knows and nobody has heard of yet is silent, later down', (t) => {
  const clock = new ManualClock();
  const presence = new Presence(clock);
  t.is(presence.stateOf(3, 'a'), 'silent');
  clock.advance(DOWN_AFTER_MS);
  t.is(presence.stateOf(3, 'a'), 'down');
});

test('who waits for a change of the map is woken by a newer one only', async (t) => {
  const board = new MapBoard({ version: 2, epoch: 1, blocks: [] });
  t.is((await board.changedFrom(1)).version, 2);
  const change = board.changedFrom(2, 60_000);
  board.publish({ version: 1, epoch: 9, blocks: [] });
  t.is(board.map.version, 2);
  board.publish({ version: 3, epoch: 2, blocks: [] });
  t.is((await change).version, 3);
});

test('who waits for a change that does not come is answered nevertheless', async (t) => {
  const board = new MapBoard({ version: 2, epoch: 1, blocks: [] });
  t.is((await board.changedFrom(2, 1)).version, 2);
  const change = board.changedFrom(2, 60_000);
  board.wakeAll();
  t.is((await change).version, 2);
});

test('a change is settled when each metadata server has asked with it, or its lease has lapsed', (t) => {
  const clock = new ManualClock();
  const leases = new MapLeases(clock);
  clock.advance(MAP_LEASE_MS);
  t.is(leases.unsettledMs(2, [1, 2]), 0, 'nobody was told anything');
  leases.asked(1, 1);
  leases.answered(1);
  leases.asked(2, 1);
  clock.advance(1000);
  leases.answered(2);
  t.is(leases.unsettledMs(2, [1, 2]), MAP_LEASE_MS);
  leases.asked(2, 2);
  t.is(leases.unsettledMs(2, [1, 2]), MAP_LEASE_MS - 1000);
  leases.asked(1, 2);
  t.is(leases.unsettledMs(2, [1, 2]), 0);
  t.is(leases.unsettledMs(3, [1, 2]), MAP_LEASE_MS);
  clock.advance(MAP_LEASE_MS);
  t.is(leases.unsettledMs(3, [1, 2]), 0);
});

test('what a former life of server 0 may have leased counts until it has lapsed', (t) => {
  const clock = new ManualClock();
  const leases = new MapLeases(clock);
  t.is(leases.unsettledMs(2, []), 0, 'there are no others');
  t.is(leases.unsettledMs(2, [1]), MAP_LEASE_MS);
  leases.asked(1, 2);
  t.is(leases.unsettledMs(2, [1]), 0);
});

test('settled resolves as soon as the last server has asked', async (t) => {
  const leases = new MapLeases(new ManualClock());
  let done = false;
  const settled = leases.settled(2, [1]).then(() => {
    done = true;
  });
  leases.asked(1, 1);
  await Promise.resolve();
  t.false(done);
  leases.asked(1, 2);
  await settled;
  t.true(done);
});
