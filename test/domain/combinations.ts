/** The choices of each dimension of a table, by its name. */
export type Dimensions = Readonly<Record<string, readonly unknown[]>>;

export type Combination<Table extends Dimensions> = { readonly [Name in keyof Table]: Table[Name][number] };

/**
 * Few rows of a table's whole product, so chosen that any three choices of three dimensions meet in one of them: what
 * is wrong with a combination is almost always wrong with three of its parts. The same table has the same rows every
 * time.
 */
export function everyThree<const Table extends Dimensions>(table: Table): Combination<Table>[] {
  const names = Object.keys(table);
  const sizes = names.map((name) => table[name]?.length ?? 0);
  const met = new Set<string>();
  const rows: number[][] = [];
  for (const wanted of allTriples(sizes)) {
    if (met.has(nameOf(wanted))) continue;
    // What the triple leaves open is filled differently in each row, so that each row meets many others, too.
    const row = sizes.map((size, place) => (rows.length * (2 * place + 1) + Math.floor(rows.length / size)) % size);
    for (const [place, choice] of wanted) row[place] = choice;
    for (const triple of triplesOf(row.map((choice) => [choice]))) met.add(nameOf(triple));
    rows.push(row);
  }
  return rows.map(
    (row) =>
      Object.fromEntries(names.map((name, place) => [name, table[name]?.[row[place] ?? 0]])) as Combination<Table>,
  );
}

/** Three dimensions by their places, each with one choice. */
type Triple = readonly (readonly [place: number, choice: number])[];

function nameOf(triple: Triple): string {
  return triple.map((part) => part.join('=')).join(' ');
}

function allTriples(sizes: readonly number[]): Triple[] {
  return triplesOf(sizes.map((size) => [...Array(size).keys()]));
}

/** The triples that the given choices of each dimension make. */
function triplesOf(choices: readonly (readonly number[])[]): Triple[] {
  const parts = choices.flatMap((own, place) => own.map((choice) => [place, choice] as const));
  return parts.flatMap((a, first) =>
    parts.slice(first + 1).flatMap((b, second) =>
      b[0] === a[0]
        ? []
        : parts
            .slice(first + second + 2)
            .filter((c) => c[0] !== b[0])
            .map((c) => [a, b, c]),
    ),
  );
}
