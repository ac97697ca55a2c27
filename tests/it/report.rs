//! The report: complete in itself, and what its script does in a browser.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::space::Space;

const CLAIM: &str = "
  dear:
    needs: { probes: probe }
    claim:
      number: 1
      says: A reset to 0 costs something in </script> & elsewhere
      effect: what it costs
      sql: SELECT MAX(value) > 0.1 AS holds, MAX(value) AS effect FROM probes
";

fn reported() -> (Space, String) {
    let text = std::fs::read_to_string(crate::space::repository().join("pipelines/quick.yaml")).unwrap();
    let space = Space::new().write("pipelines/quick.yaml", &(text + CLAIM));
    space.run_quick(&[]);
    let ran = space.run(&["report", "pipelines/quick.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let page = space.read("results/quick/report.html");
    (space, page)
}

/// Values of an attribute.
fn attribute<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let mark = format!(" {name}=\"");
    page.split(&mark).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn a_report_is_complete_in_itself() {
    let (space, page) = reported();
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let ids: Vec<_> = attribute(&page, "id");
    let distinct: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "an id stands twice: {ids:?}");
    for link in attribute(&page, "href").into_iter().chain(attribute(&page, "src")) {
        let is_inside = link.strip_prefix('#').is_some_and(|id| distinct.contains(id)) || link == "data:,";
        assert!(is_inside, "{link} leads nowhere, or out");
    }
    for what in
        ["default-src 'none'", "critical", "layerwise run pipelines/quick.yaml", "&lt;/script&gt; &amp;"]
    {
        assert!(page.contains(what), "{what}");
    }
    let all = page.split("id=\"all\"").nth(1).unwrap().split("</table>").next().unwrap();
    let cells = space.read("results/quick/table.csv").lines().count() - 1;
    assert_eq!(all.matches("<tr>").count() - 1, cells, "each cell has its row");
    let again = space.run(&["report", "pipelines/quick.yaml", "-o", "again.html"]);
    assert_eq!((again.code, space.read("again.html")), (0, page));
}

#[test]
fn there_is_no_report_of_nothing() {
    let space = Space::quick();
    let ran = space.run(&["report", "pipelines/quick.yaml"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r"
      × nothing of 'pipelines/quick.yaml' was run yet
      help: run it first: layerwise run pipelines/quick.yaml
    ");
}

/// Collects what goes wrong, from before the page's own script.
const WATCH: &str = "<script>
  window.wrong = [];
  for (const name of ['error', 'unhandledrejection', 'securitypolicyviolation'])
    addEventListener(name, (event) => wrong.push(`${name}: ${event.message || event.violatedDirective || event.reason}`));
  console.error = console.warn = (...words) => wrong.push(words.join(' '));
</script>";

/// Does what a reader does, and writes down what came of it.
const READ: &str = "<script>
  const seen = {};
  const section = document.querySelector('.panel');
  const count = () => section.querySelector('.count').textContent;
  const critical = () => section.querySelectorAll('td.critical').length;
  const input = (element) => element.dispatchEvent(new Event('input', { bubbles: true }));
  const threshold = section.querySelector('[name=threshold]');
  seen.before = count();
  const [first, colours] = [critical(), () => [...section.querySelectorAll('td')].map((cell) => cell.style.background).join()];
  const palette = colours();
  threshold.value = 1; input(threshold);
  seen.robust = critical() === 0 && !/[1-9][0-9]* critical/.test(count()) && colours() !== palette;
  threshold.value = 0; input(threshold);
  seen.critical = critical() > first;
  threshold.value = 0.1; input(threshold);
  seen.back = count() === seen.before && critical() === first && colours() === palette;
  const rows = () => [...document.querySelectorAll('#all tbody tr:not([hidden])')];
  const column = (at) => rows().map((row) => row.cells[at].textContent);
  const sort = (at) => document.querySelectorAll('#all thead button')[at].click();
  const sorted = (values, sign) => values.every((value, i) => i === 0 || sign * (value - values[i - 1]) >= 0);
  sort(4); seen.ascending = sorted(column(4).map(Number), 1);
  sort(4); seen.descending = sorted(column(4).map(Number), -1);
  seen.said = document.querySelectorAll('#all th')[4].getAttribute('aria-sort');
  const all = rows().length, filter = document.getElementById('filter');
  filter.value = 'layer1 reset'; input(filter);
  seen.filtered = rows().length > 0 && rows().length < all && rows().every((row) => /layer1.*reset/.test(row.textContent));
  let saved = null;
  URL.createObjectURL = (blob) => { saved = blob; return 'about:blank#'; };
  HTMLAnchorElement.prototype.click = function () { seen.file = this.download; };
  document.getElementById('save').click();
  seen.links = [...document.querySelectorAll('a[href^=\"#\"]')].every((link) => document.querySelector(link.hash));
  seen.requests = performance.getEntriesByType('resource').map((entry) => entry.name);
  (async () => {
    seen.lines = (await saved.text()).trim().split('\\n').length - 1;
    seen.rows = rows().length;
    seen.wrong = wrong;
    document.body.textContent = JSON.stringify(seen);
  })();
</script>";

/// A browser, if the machine has one.
fn browser() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success()))
}

fn dump(browser: &str, folder: &Path) -> String {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let ran = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"])
        .args([profile, format!("file://{}", folder.join("watched.html").display())])
        .output()
        .unwrap();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn a_reader_moves_sorts_filters_and_saves() {
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: no Chromium here (apt-get install chromium)");
        return;
    };
    let (space, page) = reported();
    let watched =
        page.replacen("<head>", &format!("<head>{WATCH}"), 1).replace("</body>", &format!("{READ}</body>"));
    let space = space.write("watched.html", &watched);
    let dom = dump(browser, &space.path(""));
    let told = dom.split("<body>").nth(1).and_then(|rest| rest.split("</body>").next()).unwrap_or(&dom);
    let seen: Value =
        serde_json::from_str(&told.replace("&amp;", "&")).unwrap_or_else(|e| panic!("{e}: {told}"));
    for what in ["robust", "critical", "back", "ascending", "descending", "filtered", "links"] {
        assert_eq!(seen[what], true, "{what}: {seen:#}");
    }
    assert_eq!((&seen["said"], &seen["file"]), (&"descending".into(), &"cells.csv".into()));
    assert_eq!(seen["lines"], seen["rows"], "what is saved is what is shown");
    assert_eq!(
        (&seen["wrong"], &seen["requests"]),
        (&Value::from([""; 0]), &Value::from([""; 0])),
        "{seen:#}"
    );
}
