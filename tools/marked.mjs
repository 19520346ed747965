/**
 * A page with another text between `<!-- name:start -->` and `<!-- name:end -->`, on lines of its own.
 * @param where what the message calls the page
 */
export function fillMarked(page, name, content, where) {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${where}: expected ${start} before ${end}, got neither or one.`);
  return `${page.slice(0, from)}${start}\n${content}\n${page.slice(to)}`;
}
