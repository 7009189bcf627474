// What is done with a leaderboard, and what is seen then.
const use = async (found, { all, wait, column, shown, button, type, choose, legend }) => {
  const groups = () => all("[data-group]").filter((each) => !each.hidden).map((each) => each.querySelector("h2").textContent);
  const facet = (name) => document.querySelector(`select[data-facet=${name}]`);
  found.groups = groups();
  choose(facet("noise"), "σ = 0.5");
  found.noise = groups();
  choose(facet("noise"), "");
  choose(facet("data"), "MNIST");
  found.data = groups();
  choose(facet("data"), "");
  const [table] = all("table.board");
  button(table, "ACR").click();
  found.acr = column(table, [...table.tHead.rows[0].cells].findIndex((each) => each.innerText.trim().startsWith("ACR")));
  await type("published m1");
  found.rows = shown(table);
  await type("");
  all("details")[0].open = true;
  await wait(300);
  found.lines = all("details")[0].querySelectorAll(".plot path.line").length;
};
