/** Figures of a run that never was: two rounds, one cell without a figure. */
import type { Figures } from '../../../bench/harness/figures.ts';

export const FIGURES: Figures = {
  format: 1,
  date: '2026-01-02',
  version: '1.2.3',
  machine: {
    cpu: 'Fast',
    cpus: 2,
    memoryGib: 24,
    kernel: '6.18.0',
    node: 'v20.20.2',
    fio: 'fio-3',
    loadAverage: 0.5,
  },
  settings: { quick: false, rounds: 2, sizeMib: 64, files: 3000 },
  targets: [
    { name: 'tmpfs', title: 'tmpfs', role: 'base' },
    { name: 'kernel', title: 'imssfs' },
    { name: 'fuse-native', title: 'imssfs, fuse-native' },
    { name: 'passthrough', title: 'C FUSE', role: 'reference' },
  ],
  leftOut: [],
  failures: [],
  rows: [
    {
      name: 'read',
      unit: 'MiB/s',
      headline: true,
      samples: {
        tmpfs: [4000, 2000],
        kernel: [2000, 1500],
        'fuse-native': [400, 200],
        passthrough: [1000, 1000],
      },
    },
    {
      name: 'stat',
      unit: 'files/s',
      headline: false,
      samples: {
        tmpfs: [100_000, 123_456],
        kernel: [2000, 2400],
        'fuse-native': [null, null],
        passthrough: [4000, 4800],
      },
    },
  ],
};
