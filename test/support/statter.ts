/**
 * Child process of the listing test: asks for one file's attributes over and over, opening it each time so
 * that the kernel's cache alone cannot answer, and reports how often it was answered.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';

const path = process.argv[2] ?? '';
let answered = 0;
let longestMs = 0;

function ask(): void {
  const startMs = performance.now();
  const fd = openSync(path, 'r');
  fstatSync(fd);
  closeSync(fd);
  answered++;
  longestMs = Math.max(longestMs, Math.round(performance.now() - startMs));
}

const timer = setInterval(ask, 1);
process.on('message', () => {
  clearInterval(timer);
  ask();
  process.send?.({ answered, longestMs }, () => process.exit(0));
});
ask();
process.send?.('started');
