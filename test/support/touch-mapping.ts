/**
 * Maps a file, lets its size become another one, and reads a byte of the mapping: `PATH SIZE AT`. A byte that is there is
 * printed; one beyond the end of the file ends the process by SIGBUS.
 */
import { openSync, statSync, truncateSync } from 'node:fs';
import { argv, stdout } from 'node:process';
import { mapFile } from './mapping.ts';

const [path = '', size = '', at = ''] = argv.slice(2);
const { bytes } = mapFile(openSync(path, 'r+'), { offset: 0, length: statSync(path).size });
stdout.write(`mapped ${String(bytes[Number(at)])}\n`);
truncateSync(path, Number(size));
stdout.write(`there ${String(bytes[Number(at)])}\n`);
