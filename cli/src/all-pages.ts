/** The most that one page holds. */
export const PAGE_SIZE = 1000;

/** What stands on all pages of a list, in order. */
export async function allPages<Page extends { nextPageToken: string }, Item>(
  read: (pageToken: string) => Promise<Page>,
  itemsOf: (page: Page) => readonly Item[],
): Promise<Item[]> {
  const items: Item[] = [];
  let pageToken = "";
  do {
    const page = await read(pageToken);
    items.push(...itemsOf(page));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return items;
}
