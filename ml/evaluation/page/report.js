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
  const themed = (layout) => {
    const c = colours();
    return Object.assign({}, layout, axes(layout, c), {
      template: {}, title: undefined, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: c.ink, family: "system-ui, sans-serif" },
      margin: { l: 55, r: 15, t: 30, b: 55 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, hoverlabel: { namelength: -1 }, autosize: true,
    });
  };
  const draw = (element) => {
    const { data, layout } = JSON.parse(document.getElementById(element.dataset.figure).textContent);
    element.style.minHeight = "";
    Plotly.react(element, data, themed(layout), { responsive: true, displaylogo: false, displayModeBar: false });
  };
  const charts = [...document.querySelectorAll(".chart")];
  const drawn = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) { drawn.add(entry.target); draw(entry.target); }
  }, { rootMargin: "400px" });
  charts.forEach((chart) => observer.observe(chart));
  dark.addEventListener("change", () => drawn.forEach(draw));
  window.addEventListener("beforeprint", () => charts.forEach((chart) => { drawn.add(chart); draw(chart); }));
})();
