/** Does the work for each item, so many at once. Throws the signal's reason when it is aborted in between. */
export async function inTurns<Item, Made>(
  items: readonly Item[],
  { atOnce, signal }: { readonly atOnce: number; readonly signal: AbortSignal },
  work: (item: Item) => Promise<Made>,
): Promise<Made[]> {
  const made: Made[] = [];
  const left = items.entries();
  const one = async (): Promise<void> => {
    for (const [index, item] of left) {
      signal.throwIfAborted();
      made[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return made;
}
