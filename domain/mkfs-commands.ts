import type { OsType } from './os-types.ts';

/** Stands for the disk in a command, as in nova.conf. */
export const targetWord = '%(target)s';

/**
 * One entry of `virt_mkfs`, in Nova's form: `linux=mkfs.ext4 -L %(fs_label)s %(target)s`. A percent sign that stands
 * for itself is doubled, since the values are put in as Python does.
 */
export const mkfsEntryPattern =
  /^(?:linux|windows|default)=(?:[^%\p{Cc}\p{Cs}]|%%|%\((?:fs_label|target)\)s)*%\(target\)s(?:[^%\p{Cc}\p{Cs}]|%%|%\((?:fs_label|target)\)s)*$/u;

/**
 * The host's own command for an os type: that type's entry, else the one for `default`; of two the last, as in Nova's
 * load_mkfs_command. Undefined: the host has none, and the file system's own program is used.
 */
export function ownMkfsCommand(entries: readonly string[], osType: OsType): string | undefined {
  const commands = new Map(
    entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
  // An entry without a command is none.
  return [commands.get(osType), commands.get('default')].find((command) => command !== undefined);
}

/**
 * A command's words with the label put in; the disk's place is still open. The words are split first: neither a label
 * nor a path can become two of them, and no shell reads them.
 */
export function mkfsWords(command: string, label: string): readonly string[] {
  return command
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => filledIn(word, (name) => (name === 'fs_label' ? label : targetWord), '%%'));
}

/** The words of a command for one disk. */
export function wordsFor(words: readonly string[], target: string): readonly string[] {
  return words.map((word) => filledIn(word, () => target, '%'));
}

function filledIn(word: string, value: (name: string) => string, percent: string): string {
  return word.replace(/%%|%\((fs_label|target)\)s/g, (_found, name?: string) =>
    name === undefined ? percent : value(name),
  );
}
