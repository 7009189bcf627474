// Columns whose cells are no plain figures: lower bounds, and noises.
const use = async (found, { all, column, button }) => {
  const [table] = all("table.data");
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  button(table, "ACR").click();
  found.averages = column(table, heads.findIndex((head) => head.startsWith("ACR")));
  button(table, "noise").click();
  found.noises = column(table, heads.findIndex((head) => head.startsWith("noise")));
};
