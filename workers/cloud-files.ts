import { open } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseDocument, type YAMLError } from 'yaml';
import { EverbootFailure } from '../domain/failures.ts';
import type { Environment } from './environment-options.ts';

/** Far more than any file of clouds has. */
const maxFileBytes = 256 * 1024;
/** A few anchors save repeating; thousands of references to each other are an attack. */
const maxAliases = 100;
const endings = ['yaml', 'yml', 'json'];

export type Table = Readonly<Record<string, unknown>>;

/** Where the files of clouds are looked for. */
export interface CloudSearch {
  readonly environment: Environment;
  readonly workingDirectory: string;
}

export interface FoundCloud {
  readonly path: string;
  readonly cloud: Table;
}

/**
 * One cloud of the first clouds.yaml that there is, with what the first secure.yaml adds: `OS_CLIENT_CONFIG_FILE` and
 * `OS_CLIENT_SECURE_FILE`, then the working directory, the user's folder and /etc/openstack, as in openstacksdk.
 *
 * Throws ConfigInvalid; what it says quotes nothing of the files.
 */
export async function findCloud(name: string, search: CloudSearch): Promise<FoundCloud> {
  const { OS_CLIENT_CONFIG_FILE: configFile, OS_CLIENT_SECURE_FILE: secureFile } = search.environment;
  const found = await firstFile('clouds', configFile, search);
  if (found === null) {
    const folders = searchedFolders(search).join(', ');
    throw invalid(`there is no clouds.yaml with the cloud "${name}" in ${folders}`);
  }
  const secure = await firstFile('secure', secureFile, search);
  const cloud = cloudOf(found.table, name);
  const added = secure === null ? undefined : cloudOf(secure.table, name);
  if (cloud === undefined && added === undefined) throw invalid(`${found.path} has no cloud "${name}"`);
  return { path: found.path, cloud: merged(cloud ?? {}, added ?? {}) };
}

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The user's own folder, for `~`. */
export function homeOf(environment: Environment): string {
  return environment.HOME || homedir();
}

function searchedFolders({ environment, workingDirectory }: CloudSearch): readonly string[] {
  const xdg = environment.XDG_CONFIG_HOME;
  const userFolders = [...(xdg ? [xdg] : []), join(homeOf(environment), '.config')];
  return [workingDirectory, ...userFolders.map((folder) => join(folder, 'openstack')), '/etc/openstack'];
}

/** A file that is named has to be there; of the others the first that is there counts, and has to be good. */
async function firstFile(kind: string, named: string | undefined, search: CloudSearch) {
  const candidates = named
    ? [resolve(search.workingDirectory, named)]
    : searchedFolders(search).flatMap((folder) => endings.map((ending) => join(folder, `${kind}.${ending}`)));
  for (const path of candidates) {
    const text = await readText(path, named !== undefined && named !== '');
    if (text !== null) return { path, table: parseTable(path, text) };
  }
  return null;
}

async function readText(path: string, isNamed: boolean): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      const bytes = Buffer.alloc(maxFileBytes + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await file.read(bytes, length, bytes.length - length);
        length += bytesRead;
        if (length > maxFileBytes) throw invalid(`${path} has more than ${maxFileBytes / 1024} KiB`);
        if (bytesRead === 0) return bytes.toString('utf8', 0, length);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof EverbootFailure) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (!isNamed && (code === 'ENOENT' || code === 'ENOTDIR')) return null;
    throw invalid(`${path} cannot be read (${code})`);
  }
}

/** YAML 1.1, as PyYAML reads it: with merge keys, and a `no` that is false. Whole numbers stay exact. */
function parseTable(path: string, text: string): Table {
  let place = '';
  try {
    const document = parseDocument(text, { version: '1.1', prettyErrors: false, intAsBigInt: true, stringKeys: true });
    const [error] = document.errors;
    if (error !== undefined) place = placeOf(error, text);
    else {
      const value: unknown = document.toJS({ maxAliasCount: maxAliases });
      if (isTable(value) && isTable(value.clouds ?? {})) return value;
    }
  } catch {
    place = ': too deeply nested, or too many aliases';
  }
  throw invalid(`${path}${place} is not YAML with clouds in it`);
}

function placeOf({ pos, code }: YAMLError, text: string): string {
  const before = text.slice(0, pos[0]);
  return `, line ${before.split('\n').length} (${code.toLowerCase().replaceAll('_', ' ')}),`;
}

function cloudOf(table: Table, name: string): Table | undefined {
  const clouds = table.clouds ?? {};
  if (!isTable(clouds) || !Object.hasOwn(clouds, name)) return undefined;
  const cloud = clouds[name] ?? {};
  return isTable(cloud) ? cloud : undefined;
}

function merged(table: Table, added: Table): Table {
  const entries = Object.entries(added).map(([key, value]): [string, unknown] => {
    const before = Object.hasOwn(table, key) ? table[key] : undefined;
    return [key, isTable(value) && isTable(before) ? merged(before, value) : value];
  });
  return { ...table, ...Object.fromEntries(entries) };
}

function invalid(message: string): EverbootFailure {
  return new EverbootFailure('ConfigInvalid', message, {
    remedy: 'Correct [glance] cloud, OS_CLOUD or OS_CLIENT_CONFIG_FILE, or the file that the message names.',
  });
}
