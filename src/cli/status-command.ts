/** The command `imssfs status`: the servers of a file system, how they are, and who has it mounted. */
import { Command, Option } from 'commander';
import { DEFAULTS, serverPort, waitSeconds } from '../config.ts';
import type { BlockStatus, MetaStatus } from '../meta/cluster-protocol.ts';
import { type HostList, parseHostList } from '../net/hostfile.ts';
import { formatSize } from '../size.ts';
import { textOf } from './bytes-path.ts';
import type { ClusterRequest } from './cluster-config.ts';
import { type ClusterLine, metaHostsOf, secretOf } from './cluster-options.ts';
import { type AskedServer, askStatus } from './cluster-query.ts';
import { EXIT_FAILURE, UsageError, oneLine } from './errors.ts';
import { type Answer, HELP_FLAGS, runParser } from './options.ts';

/** How long a server that is away is waited for. */
const DEFAULT_WAIT_S = '3';

const DESCRIPTION = `Shows the servers of a file system of several nodes: state, address, memory in use, uptime and requests
per second of each, and who has it mounted.`;

const FOOTER = `
Examples:
  imssfs status node1                  ask the metadata server at node1:${DEFAULTS.metaPort}
  imssfs status -a ./stat_hostfile --json

Exit code: 0 all servers are up, 1 some server is not, or nobody answers, 2 wrong usage.`;

/** Options by which a command is told of metadata servers. */
export const META_SERVER_OPTIONS: readonly (readonly [string, string])[] = [
  ['-a, --meta-hostfile <file>', 'hosts that keep metadata, one host[:port] per line'],
  ['--meta-hosts <list>', 'the same, written in place: host[:port],host[:port],...'],
  ['-m, --meta-port <port>', `TCP port where none is said (default: ${DEFAULTS.metaPort})`],
  ['--secret-file <file>', 'what nodes prove to each other that they know (default: ~/.imssfs/secret)'],
  ['--insecure', 'the servers run without a secret'],
]; // prettier-ignore

/** What those options say. */
export interface MetaServersLine extends ClusterLine {
  metaPort?: string;
}

/** The servers to ask; undefined if none are named. Rejects with one line: what is wrong; what to do. */
export async function clusterRequest(
  line: MetaServersLine,
  options: { host?: string | undefined; wait: string },
): Promise<ClusterRequest | undefined> {
  const port = serverPort(textOf(line.metaPort ?? DEFAULTS.metaPort));
  const list = await hostsOf(line, options.host);
  if (list === undefined) return undefined;
  return {
    metaServers: list.lines.map((host) => ({ host: host.host, port: host.port ?? port })),
    secret: secretOf(line),
    waitSeconds: waitSeconds(textOf(options.wait)),
  };
}

async function hostsOf(line: ClusterLine, host: string | undefined): Promise<HostList | undefined> {
  const list = await metaHostsOf(line);
  if (host === undefined) return list;
  if (list !== undefined) {
    throw new UsageError(`${textOf(host)} and ${list.name} both name metadata servers; leave out one of them`); // prettier-ignore
  }
  return parseHostList(textOf(host), 'META_HOST');
}

interface StatusLine extends MetaServersLine {
  json?: true;
  wait?: string;
  host?: string;
}

/** Parses what stands behind `imssfs status`. Throws {@link UsageError}. */
export function parseStatusLine(args: readonly string[]): StatusLine | Answer {
  const command = new Command('imssfs status')
    .argument('[META_HOST[:PORT]]', 'a metadata server; it knows the others')
    .description(DESCRIPTION)
    .addHelpText('after', FOOTER)
    .configureHelp({ helpWidth: 100 });
  for (const [flags, help] of META_SERVER_OPTIONS) command.addOption(new Option(flags, help));
  command
    .addOption(
      new Option(
        '--wait <seconds>',
        `how long to wait for a server that does not answer (default: ${DEFAULT_WAIT_S})`,
      ),
    ) // prettier-ignore
    .addOption(new Option('--json', 'print one JSON object'))
    .helpOption(HELP_FLAGS, 'show this help');
  const answer = runParser(command, args);
  if (answer !== undefined) return answer;
  const [host] = command.args;
  return { ...command.opts<StatusLine>(), ...(host !== undefined && { host }) };
}

/** Runs `imssfs status ARGS`; resolves to the exit code. Rejects with one line: what is wrong; what to do. */
export async function runStatusCommand(args: readonly string[]): Promise<number> {
  const line = parseStatusLine(args);
  if ('text' in line) {
    process.stdout.write(line.text);
    return 0;
  }
  const { host, wait = DEFAULT_WAIT_S } = line;
  const request = await clusterRequest(line, { host, wait });
  if (request === undefined) {
    throw new UsageError('no metadata server is named; write imssfs status META_HOST, or -a FILE');
  }
  const servers = await askStatus(request);
  const text = line.json === true ? JSON.stringify(jsonOf(servers)) : statusText(servers);
  process.stdout.write(`${text}\n`);
  return isHealthy(servers) ? 0 : EXIT_FAILURE;
}

const SHARED = new Set(['mounts', 'blockServers', 'metaServers', 'clusterId']);

/** What `--json` prints. */
export function jsonOf(servers: readonly AskedServer[]): object {
  const { clusterId, epoch, mounts, blockServers } = firstOf(servers) ?? { clusterId: null, epoch: null, mounts: [], blockServers: [] }; // prettier-ignore
  return {
    clusterId,
    epoch,
    metaServers: servers.map(({ address, answer }) => {
      if (answer instanceof Error)
        return { address, state: 'down', error: reason(address, answer) };
      // What only number 0 knows stands once, beside the servers.
      const own = Object.entries(answer).filter(([key]) => !SHARED.has(key));
      return { address, state: stateOf(answer), ...Object.fromEntries(own) };
    }),
    blockServers,
    mounts,
  };
}

/** The answer of metadata server 0, which knows most; otherwise any. */
function firstOf(servers: readonly AskedServer[]): MetaStatus | undefined {
  const answers = servers.flatMap(({ answer }) => (answer instanceof Error ? [] : [answer]));
  return answers.find((answer) => answer.number === 0) ?? answers[0];
}

function stateOf(status: MetaStatus): string {
  if (status.stopping) return 'stopping';
  if (status.number === null) return 'unnumbered';
  return status.isCurrent ? 'up' : 'waiting';
}

function isHealthy(servers: readonly AskedServer[]): boolean {
  const first = firstOf(servers);
  return (
    first?.number === 0 &&
    servers.every(({ answer }) => !(answer instanceof Error) && stateOf(answer) === 'up') &&
    first.blockServers.every(({ state }) => state === 'up')
  );
}

/** What a person reads. */
export function statusText(servers: readonly AskedServer[]): string {
  const first = firstOf(servers);
  const lines = [`file system ${first?.clusterId ?? 'unknown'}`, 'metadata servers'];
  lines.push(...table(servers.map(metaRow)));
  if (first?.number !== 0) {
    lines.push('block servers and mounts are known to metadata server 0, which does not answer');
    return lines.join('\n');
  }
  lines.push('block servers', ...table(first.blockServers.map(blockRow)));
  if (first.blockServers.length === 0) lines.push('  none has registered yet');
  lines.push('mounts', ...(first.mounts.length === 0 ? ['  none'] : first.mounts.map((name) => `  ${oneLine(name)}`))); // prettier-ignore
  return lines.join('\n');
}

function metaRow({ address, answer }: AskedServer): string[] {
  if (answer instanceof Error) return ['-', address, 'down', reason(address, answer)];
  const { number, inodes, databaseBytes, connections, requestsPerSecond, uptimeMs, pid } = answer;
  const facts = [
    `${inodes} inodes in ${formatSize(databaseBytes)}`,
    `${connections} connections`,
    rate(requestsPerSecond),
    `up ${duration(uptimeMs)}`,
    `pid ${pid}`,
  ];
  return [String(number ?? '-'), address, stateOf(answer), facts.join(', ')];
}

/** Without the address, which stands beside it. */
function reason(address: string, error: Error): string {
  return oneLine(error.message).replace(`${address}: `, '');
}

function blockRow({ index, declared, state, quietMs, life, report }: BlockStatus): string[] {
  const facts: string[] = [];
  if (report !== undefined && life !== undefined) {
    facts.push(`${formatSize(report.usedBytes)} of ${formatSize(life.capacityBytes)} used`);
    facts.push(`${report.datasets} datasets`, `${report.clients} clients`);
    facts.push(rate(report.requestsPerSecond), `up ${duration(report.uptimeMs)}`);
  }
  if (state !== 'up' && quietMs !== undefined) facts.push(`not heard of for ${duration(quietMs)}`);
  return [String(index), declared, state, facts.join(', ')];
}

function rate(perSecond: number): string {
  return `${perSecond < 10 ? Number(perSecond.toFixed(1)) : Math.round(perSecond)} requests/s`;
}

/** `5 s`, `3 min`, `2 h 3 min`, `4 d 1 h`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit));
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min`;
  if (days === 0) return `${hours} h ${(minutes ?? 0) % 60} min`;
  return `${days} d ${(hours ?? 0) % 24} h`;
}

/** Rows with all columns but the last as wide as their widest. */
function table(rows: readonly string[][]): string[] {
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0))); // prettier-ignore
  return rows.map((row) =>
    `  ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
