// Sorts a table by a click on a heading, and filters long ones. Without it the page is whole, too.
(() => {
  // Every browser lets the keyboard scroll what has the focus.
  const frames = new ResizeObserver(entries => {
    for (const { target } of entries) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
  });
  for (const frame of document.querySelectorAll(".wide")) frames.observe(frame);
  const number = text => {
    const found = text.replace("−", "-").match(/^\s*[\[<]?\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/i);
    return found ? Number(found[1]) : null;
  };
  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (a !== null && b !== null) return a - b;
    if (a !== null || b !== null) return a === null ? 1 : -1;
    return one.localeCompare(other, undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
    if (rows.length < 3) continue;
    heads.forEach((head, column) => {
      const sort = () => {
        const turn = head.ariaSort === "ascending" ? -1 : 1;
        heads.forEach(each => { each.ariaSort = "none"; });
        head.ariaSort = turn > 0 ? "ascending" : "descending";
        const text = row => row.cells[column].textContent;
        body.append(...[...rows].sort((a, b) => turn * compare(text(a), text(b))));
      };
      head.ariaSort = "none";
      head.tabIndex = 0;
      head.title = "sort";
      head.addEventListener("click", sort);
      head.addEventListener("keydown", event => {
        if (!["Enter", " "].includes(event.key)) return;
        event.preventDefault();
        sort();
      });
    });
    const frame = table.parentElement;
    if (!frame.classList.contains("long")) continue;
    const filter = document.createElement("input");
    filter.className = "filter";
    filter.type = "search";
    filter.placeholder = `filter ${rows.length} rows`;
    filter.ariaLabel = filter.placeholder;
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
      }
    });
    frame.before(filter);
  }
})();
