import { sizeText } from '../../domain/sizes.ts';
import { textTable } from '../text-table.ts';
import type { DemoFolder } from './demo-folder.ts';
import type { GuestReport } from './guest-report.ts';

/** The guest's report, for people. */
export function reportText({ disks, swap, hostname, sshKeys }: GuestReport): string {
  const swapsTo = new Map(swap.map(({ name, sizeBytes }) => [name, sizeBytes]));
  const rows = disks.map(({ name, sizeBytes, type, label }) => {
    const swapBytes = swapsTo.get(name);
    const use = swapBytes === undefined ? '' : `switched on, ${sizeText(swapBytes)}`;
    return [name, sizeText(sizeBytes), type, label, use];
  });
  const facts = [['host name', hostname ?? 'none'], ...sshKeys.map((key) => ['ssh key', key])];
  return [
    'Report of the guest on its console:',
    '',
    ...textTable([['DISK', 'SIZE', 'HOLDS', 'LABEL', ''], ...rows], '  '),
    '',
    ...textTable(facts, '  '),
    '',
  ].join('\n');
}

export interface KeptDemo {
  readonly folder: DemoFolder;
  /** How everboot is called from here. */
  readonly command: string;
  readonly instanceId: string;
  readonly consoleLog: string;
  /** How to end what runs. */
  readonly stopCommand: string;
  /** The image's address in Glance; null where the image is a file. */
  readonly glanceImage: string | null;
}

/** How to look at what was left running, and how to end it. */
export function keptText({ folder, command, instanceId, consoleLog, stopCommand, glanceImage }: KeptDemo): string {
  const lines = [
    ['look at it', `${command} show ${instanceId}`],
    ['its console', `tail -f ${quoted(consoleLog)}`],
    ['a shell in it', `virsh console ${instanceId}`],
    ['delete it', `${command} delete ${instanceId}`],
    ...(glanceImage === null ? [] : [['and its image', `curl -X DELETE ${quoted(glanceImage)}`]]),
    ['stop the rest', stopCommand],
  ];
  return ['It was left running. Next commands:', '', `  ${exportsText(folder)}`, '', ...textTable(lines, '  ')].join(
    '\n',
  );
}

/** The shell command that points everboot at the demo. */
export function exportsText({ configurationFile, path }: DemoFolder): string {
  return `export EVERBOOT_CONFIG=${quoted(configurationFile)} EVERBOOT_STATE_DIR=${quoted(path)}`;
}

function quoted(path: string): string {
  return /^[\w./:@-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
