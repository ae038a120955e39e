import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';
import { LONG, WHOLE_TEST } from './bounds.ts';

/** fio's arguments for one verified run; the same arguments with `--verify_only` read it again. */
function fioArguments(job: {
  name: string;
  block: string;
  direct: boolean;
  more?: string;
}): string {
  return `fio --name=${job.name} --rw=randwrite --bs=${job.block} --direct=${job.direct ? 1 : 0} \\
    --size=8m --ioengine=psync --fallocate=none --verify=crc32c --verify_fatal=1 --randrepeat=1 \\
    --norandommap=0 --output-format=terse ${job.more ?? ''}`;
}

for (const direct of [false, true]) {
  mountTest(
    `fio verifies random writes of many sizes, ${direct ? 'direct' : 'buffered'}`,
    async (t, mount) => {
      const kind = direct ? 'direct' : 'buffered';
      for (const [block, more] of [
        ['4k', ''],
        ['64k', '--fsync=16'],
        ['1m', '--end_fsync=1'],
        ['4k', '--numjobs=2 --group_reporting'],
        ['4k', '--ioengine=libaio --iodepth=16'],
      ] as const) {
        const name = `${kind}-${block}-${more.replace(/\W+/g, '')}`;
        const job = fioArguments({ name, block, direct, more });
        // The files' cached pages are dropped in between, so that the second pass reads what was stored.
        const out = await sh(
          `${job} --do_verify=1; for f in ${name}*; do dd if=$f iflag=nocache count=0 status=none; done
           ${job} --verify_only=1; rm ${name}*`,
          { ...LONG, cwd: mount.path },
        );
        t.notRegex(out, /verify: bad|error=/);
      }
    },
    WHOLE_TEST,
  );
}

mountTest(
  'fio verifies writes through a shared mapping and blocks that straddle ours',
  async (t, mount) => {
    const out = await sh(
      `${fioArguments({ name: 'mapped', block: '4k', direct: false, more: '--ioengine=mmap' })}
       ${fioArguments({ name: 'odd', block: '3k-300k', direct: false }).replace('--bs=', '--bsrange=')}`,
      { ...LONG, cwd: mount.path },
    );
    t.notRegex(out, /verify: bad|error=/);
  },
  WHOLE_TEST,
);
