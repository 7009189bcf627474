// Runs the use of a page in its frame, and tells the window around it what was found.
(async () => {
  const found = {}, all = (what, root = document) => [...root.querySelectorAll(what)];
  const wait = (time) => new Promise((done) => setTimeout(done, time));
  const column = (table, k) => [...table.tBodies[0].rows].map((row) => row.cells[k].innerText.trim());
  const shown = (table) => [...table.tBodies[0].rows].filter((row) => row.offsetParent !== null).length;
  const button = (table, name) => all("thead button", table).find((each) => each.textContent === name);
  const type = async (text) => {
    const box = document.getElementById("filter");
    box.value = text;
    box.dispatchEvent(new Event("input"));
    await wait(200);
  };
  const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
  const legend = (frame) => Object.fromEntries(all(".legend tbody tr", frame).map((row) => [row.cells[0].innerText.trim(), row.cells[1].innerText]));
  try {
    await use(found, { all, wait, column, shown, button, type, choose, legend });
  } catch (error) { faults.push(String(error.stack)); }
  for (const each of all("details")) each.open = true;
  await wait(200);
  found.inner = innerWidth;
  found.page = document.documentElement.scrollWidth;
  found.title = document.title;
  found.faults = faults;
  parent.postMessage(found, "*");
})();
