// Draws each chart when it comes near the screen, in the colours of the reader's theme.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return { ink: style.getPropertyValue("--ink").trim(), line: style.getPropertyValue("--line").trim() };
  };
  const axes = (layout, { ink, line }) => {
    const result = {};
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name)).concat(["xaxis", "yaxis"])) {
      result[key] = Object.assign({}, layout[key], { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true });
    }
    return result;
  };
  // Rings are as high as wide: a phone would show them in the middle of an empty page.
  const fitted = (element, data, layout) =>
    data.some((trace) => trace.type === "sunburst")
      ? { height: Math.min(layout.height, element.clientWidth), margin: { l: 4, r: 4, t: 4, b: 4 } }
      : {};
  const inked = (data) => data.map((trace) => (trace.error_x && trace.type === "bar"
    ? Object.assign({}, trace, { error_x: Object.assign({}, trace.error_x, { color: colours().ink }) })
    : trace));
  const themed = (layout) => {
    const c = colours();
    return Object.assign({}, layout, axes(layout, c), {
      template: {}, title: undefined, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: c.ink, family: "system-ui, sans-serif" },
      margin: { l: 55, r: 15, t: 30, b: 55 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, hoverlabel: { namelength: -1 }, autosize: true,
    });
  };
  // On a phone, names of museums would leave no room for their bars: they are cut there, and whole under the finger.
  const NARROW = 560, SHORT = 16;
  const shortened = (element, data, layout) => {
    const bars = data.filter((trace) => trace.orientation === "h");
    if (bars.length === 0) return layout;
    const names = bars.flatMap((trace) => trace.y);
    const cut = (name) => (name.length > SHORT ? `${name.slice(0, SHORT - 1)}…` : name);
    const narrow = element.clientWidth < NARROW ? { tickvals: names, ticktext: names.map(cut) } : {};
    return Object.assign({}, layout, { yaxis: Object.assign({}, layout.yaxis, { title: undefined }, narrow) });
  };
  const draw = (element, width) => {
    const { data, layout } = JSON.parse(document.getElementById(element.dataset.figure).textContent);
    element.style.minHeight = "";
    const shown = Object.assign(themed(shortened(element, data, layout)), fitted(element, data, layout), width ? { width } : {});
    Plotly.react(element, inked(data), shown, { responsive: true, displaylogo: false, displayModeBar: false });
  };
  const charts = [...document.querySelectorAll(".chart")];
  const drawn = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) { drawn.add(entry.target); draw(entry.target); }
  }, { rootMargin: "400px" });
  charts.forEach((chart) => observer.observe(chart));
  dark.addEventListener("change", () => drawn.forEach((chart) => draw(chart)));
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  // Paper is narrower than most screens, and a chart has its size before the page is laid out for it.
  const PAPER = 680;
  window.addEventListener("beforeprint", () => charts.forEach((chart) => { drawn.add(chart); draw(chart, PAPER); }));
  window.addEventListener("afterprint", () => charts.forEach((chart) => draw(chart)));
})();
