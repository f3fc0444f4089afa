// The page is complete without this script: it lets figures be hovered over and zoomed, and tables be sorted and filtered.

async function unpacked(name) {
  const packed = atob(document.getElementById(`library-${name}`).textContent.trim());
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function library(name) {
  return import(URL.createObjectURL(new Blob([await unpacked(name)], { type: "text/javascript" })));
}

// Figures: drawn when they come near, for a page may have dozens.
let vega;
const dark = matchMedia("(prefers-color-scheme: dark)");

async function draw(figure) {
  vega ??= library("vega");
  await vega;
  const drawn = document.createElement("div");
  await window.vegaEmbed(drawn, JSON.parse(figure.querySelector("script").textContent), {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: figure.id,
    tooltip: { theme: dark.matches ? "dark" : "light" },
  });
  figure.querySelector(".drawing").replaceChildren(drawn);
  figure.classList.add("alive");
}

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(entry.target);
      draw(entry.target);
    }
  },
  { rootMargin: "400px" },
);
for (const figure of document.querySelectorAll("figure:has(> script)")) {
  near.observe(figure);
}

// Tables.
const tables = document.querySelectorAll("table.interactive");

function columns(table) {
  return [...table.tHead.rows[0].cells].map((head) => {
    const wanted = { list: ["searchList"], search: ["search"] }[head.dataset.filter];
    const words = head.matches(".words, :first-child");
    const orderSequence = words ? ["asc", "desc", ""] : ["desc", "asc", ""]; // of numbers the highest first
    return { columnControl: wanted ? ["order", wanted] : ["order"], orderSequence };
  });
}

if (tables.length) {
  document.documentElement.classList.toggle("dark", dark.matches); // for the style sheet of DataTables
  const style = document.createElement("style");
  const [{ default: DataTable }, css] = await Promise.all([library("tables"), unpacked("tables-style")]);
  style.textContent = css;
  document.head.prepend(style); // the page's own rules come after, and win
  for (const table of tables) {
    const long = table.tBodies[0].rows.length > 50;
    const made = new DataTable(table, {
      autoWidth: false,
      columns: columns(table),
      info: long,
      order: [],
      ordering: { indicators: false, handler: false },
      paging: long,
      lengthMenu: [25, 100, { label: "all", value: -1 }],
      pageLength: 25,
      searching: true,
      layout: {
        topStart: long ? "pageLength" : null,
        topEnd: table.classList.contains("searched") ? "search" : null,
        bottomStart: long ? "info" : null,
        bottomEnd: long ? "paging" : null,
      },
      language: { search: "Search", lengthMenu: "_MENU_ rows a page", info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(of _MAX_ in all)" },
    });
    addEventListener("beforeprint", () => long && made.page.len(-1).draw());
  }
}
document.documentElement.dataset.ready = "true";
