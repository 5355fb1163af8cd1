import { printable } from './output.ts';

/** Rows as lines, each column as wide as its widest cell, two spaces between them. */
export function textTable(rows: readonly (readonly string[])[], indent = ''): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return cells.map((row) =>
    `${indent}${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

/** Names and values, one pair a line; pairs without a value are left out. */
export function nameTable(pairs: Readonly<Record<string, string | undefined>>, indent = '  '): string[] {
  const rows = Object.entries(pairs).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return textTable(rows, indent);
}
