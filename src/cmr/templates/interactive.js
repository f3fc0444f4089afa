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

async function draw(figure) {
  vega ??= library("vega");
  await vega;
  const drawn = document.createElement("div");
  await window.vegaEmbed(drawn, JSON.parse(figure.querySelector("script").textContent), {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: figure.id,
    i18n: { CLICK_TO_VIEW_ACTIONS: "Save this figure" },
  });
  const drawing = figure.querySelector(".drawing");
  const picture = drawn.querySelector(".chart-wrapper"); // not all of it: what is in an image cannot be reached by key
  picture.setAttribute("role", "img");
  picture.removeAttribute("aria-roledescription");
  picture.setAttribute("aria-label", drawing.getAttribute("aria-label"));
  drawn.querySelector("summary").setAttribute("aria-label", "Save this figure");
  drawing.removeAttribute("role");
  drawing.removeAttribute("aria-label");
  drawing.replaceChildren(drawn);
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
const dark = matchMedia("(prefers-color-scheme: dark)");

function columns(table) {
  return [...table.tHead.rows[0].cells].map((head) => {
    const name = head.textContent.trim();
    const content = { list: "searchList", search: "search" }[head.dataset.filter];
    const controls = [{ extend: "order", text: `Sort by ${name}` }];
    if (content) controls.push({ extend: "dropdown", text: `Filter by ${name}`, content: [content] });
    const words = head.matches(".words, :first-child");
    // Of numbers the highest first.
    const kind = words ? { orderSequence: ["asc", "desc", ""] } : { orderSequence: ["desc", "asc", ""], type: "number" };
    return { columnControl: controls, ...kind };
  });
}

// By the number that a cell begins with; cells without one come last, whatever the order.
function byNumber(sign) {
  return (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : sign * (x - y);
  };
}

function followScheme() {
  document.documentElement.classList.toggle("dark", dark.matches); // for the style sheet of DataTables
}

if (tables.length) {
  const style = document.createElement("style");
  const [{ default: DataTable }, css] = await Promise.all([library("tables"), unpacked("tables-style")]);
  style.textContent = css;
  document.head.prepend(style); // the page's own rules come after, and win
  followScheme();
  dark.addEventListener("change", followScheme);
  DataTable.type("number", {
    className: "dt-type-numeric",
    order: { asc: byNumber(1), desc: byNumber(-1) },
    search: DataTable.util.stripHtml,
  });
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
      language: { search: "Search", lengthMenu: "_MENU_ rows a page", info: "_START_ to _END_ of _TOTAL_", infoEmpty: "no rows", infoFiltered: "(of _MAX_ in all)" },
    });
    if (long) {
      let seen;
      addEventListener("beforeprint", () => {
        seen = made.page.info();
        made.page.len(-1).draw();
      });
      addEventListener("afterprint", () => made.page.len(seen.length).page(seen.page).draw("page"));
    }
  }
}
document.documentElement.dataset.ready = "true";
