"""Executions, tasks, approvals, schedules, monitor and logs in the console: a real Chromium on a real
server, with back ends that write while it looks."""

import http.server
import json
import re
import threading

import pytest

from console_page import (  # noqa: F401
    KEY, LOCKED, PHONE, WIDE, no_sideways_scroll, open_console, shoot, wait_live)

pytestmark = pytest.mark.release  # the page is the same whatever serves it

ROUTES = ("runs", "tasks", "approvals", "schedules", "monitor", "logs")
LOADING = re.compile("Loading…|Carregando…")


def tell(server, path, body, method="POST", expect=(200, 201, 202), key=None):
    from servers import open_url

    status, _, answer = open_url(
        server.url + path, data=json.dumps(body).encode(), method=method,
        headers={"Content-Type": "application/json", **({"X-API-Key": key} if key else {})})
    assert status in expect, (path, status, answer)
    return json.loads(answer)


def add_run(server, name, agent="ana", status="completed", method="AGENT", **more):
    run = tell(server, "/api/runs", {
        "kind": "agent", "name": name, "agent_id": agent, "agent_name": agent.title(),
        "method": method, "status": "running", **more})
    if status != "running":
        end = {"status": status, **({"error": "connection refused"} if status == "failed" else {})}
        tell(server, f"/api/runs/{run['id']}/finish", end)
    return run["id"]


def add_approval(server, id, action="send_whatsapp", **more):
    return tell(server, "/api/approvals", {
        "id": id, "action": action, "agent_id": "vendas", "task_id": "T-7",
        "details": {"to": "+55 11 99999-0000"}, **more})


@pytest.fixture
def back_end():
    """A back end that schedules call; it counts its calls, and answers while its gate is open."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.calls += 1
            self.server.gate.wait(30)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b'{"output": "all is well"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.calls = 0
    server.gate = threading.Event()
    server.gate.set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


# Executions.


async def test_executions_teach_how_to_begin_and_appear_at_once(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/runs")
    await wait_live(page)
    await expect(page.get_by_text("Nothing was executed yet")).to_be_visible()
    await shoot(page, "runs-empty-wide-light-en")
    run = add_run(recado, "first steps", status="running")
    row = page.get_by_role("row").filter(has_text="first steps")
    await expect(row.locator("[data-state=running]")).to_be_visible()
    await expect(page.locator("[data-figure=runningNow]")).to_have_text("1")
    tell(recado, f"/api/runs/{run}/finish", {"status": "completed", "result": {"score": 1}})
    await expect(row.locator("[data-state=completed]")).to_be_visible()
    await expect(page.locator("[data-figure=successRate]")).to_have_text("100%")


async def test_shown_command_makes_an_execution(recado, open_console):
    import subprocess

    from playwright.async_api import expect

    page = await open_console(recado, "#/runs")
    await wait_live(page)
    command = await page.locator(".command code").inner_text()
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and json.loads(done.stdout)["status"] == "running", done
    await expect(page.get_by_role("row").filter(has_text="first")).to_be_visible()


async def test_executions_are_filtered_paged_and_counted(recado, open_console):
    from playwright.async_api import expect

    for n in range(60):
        add_run(recado, f"run {n:02}", agent="ana" if n % 3 else "bia",
                status="failed" if n % 4 == 0 else "completed", method="USER" if n % 5 == 0 else "AGENT")
    page = await open_console(recado, "#/runs")
    await wait_live(page)
    rows = page.locator("tbody tr")
    await expect(page.get_by_text("1 to 50 of 60")).to_be_visible()
    await expect(rows.first).to_contain_text("run 59")
    await expect(page.locator("[data-figure=successRate]")).to_have_text("75%")
    await expect(page.locator("[data-figure=totalRuns]")).to_have_text("60")
    chart = page.get_by_role("img", name="Executions of the last 30 days: 60, of which 15 failed")
    await expect(chart.locator("canvas")).to_be_visible()
    await page.get_by_text("As a table").click()
    days = page.get_by_role("table", name="Executions of the last 30 days")
    await expect(days.locator("tbody tr")).to_have_count(30)
    await shoot(page, "runs-wide-light-en")
    await page.get_by_text("As a table").click()

    await page.get_by_role("button", name="Older").click()
    await expect(page.get_by_text("51 to 60 of 60")).to_be_visible()
    await expect(page).to_have_url(re.compile("page=2"))
    search = page.get_by_role("search", name="Filters")
    await search.get_by_label("Agent").fill("Bia")  # a name, or an id
    await search.get_by_label("Status").select_option("failed")
    await expect(page.get_by_text("1 to 5 of 5")).to_be_visible()
    await expect(page).to_have_url(re.compile("agent=Bia&status=failed$"))
    await search.get_by_label("Method").select_option("USER")
    await expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
    await expect(search.get_by_label("Agent")).to_have_value("Bia")
    await search.get_by_label("To").fill("2020-01-31")
    await expect(page.get_by_text("No execution matches these filters.")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page.get_by_text("1 to 50 of 60")).to_be_visible()
    await expect(page).to_have_url(re.compile("#/runs$"))


async def test_an_execution_in_detail(recado, open_console):
    from playwright.async_api import expect

    run = add_run(recado, "audit", status="running", input={"limit": 20})
    page = await open_console(recado, f"#/runs/{run}")
    await wait_live(page)
    await expect(page.get_by_role("heading", name="audit", level=1)).to_be_visible()
    await expect(page.get_by_role("group", name="Input")).to_contain_text('"limit": 20')
    await expect(page.get_by_text("No steps were told.")).to_be_visible()
    tell(recado, f"/api/runs/{run}/steps", {"name": "read the log", "status": "completed"})
    await expect(page.locator(".steps li")).to_contain_text("read the log")
    tell(recado, f"/api/runs/{run}/finish", {"status": "failed", "error": "the disk is full"})
    await expect(page.locator(".failure")).to_have_text("the disk is full")
    await shoot(page, "run-wide-light-en")
    await page.get_by_role("button", name="Retry").click()
    former = page.get_by_role("region", name="Former attempts").locator("details")
    await expect(former).to_have_count(1)
    await expect(former.locator("summary [data-state=failed]")).to_be_visible()
    await expect(former.get_by_text("read the log")).to_be_hidden()
    await former.locator("summary").press("Enter")
    await expect(former.locator(".steps li")).to_contain_text("read the log")
    await expect(former.locator(".failure")).to_have_text("the disk is full")
    tell(recado, f"/api/runs/{run}/steps", {"name": "once more", "status": "running"})
    await expect(page.locator(".steps li").first).to_contain_text("once more")
    await expect(former.locator(".failure")).to_be_visible()  # stays open
    await page.get_by_role("button", name="Cancel the execution").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the execution").click()
    await expect(page.locator(".facts [data-state=cancelled]")).to_be_visible()


async def test_an_execution_that_is_not_there_is_said(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/runs/nowhere", allow="404")
    await expect(page.get_by_role("alert").filter(has_text="no such run")).to_be_visible()
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()


# Tasks.


async def test_tasks_are_made_moved_and_followed(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/tasks")
    await wait_live(page)
    await expect(page.get_by_text("No tasks yet")).to_be_visible()
    await page.get_by_role("button", name="New task").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Create").click()
    await expect(dialog.get_by_text("A title is needed")).to_be_visible()
    await dialog.get_by_label("Title").fill("Import the orders")
    await dialog.get_by_label("Priority").select_option("urgent")
    await dialog.get_by_role("button", name="Create").click()
    todo = page.get_by_role("region", name="To do")
    await expect(todo.locator(".task-card")).to_contain_text("Import the orders")
    await page.get_by_label("Status of Import the orders").select_option("executing")
    doing = page.get_by_role("region", name="Under way")
    await expect(doing.locator(".task-card")).to_contain_text("Import the orders")

    listed = json.loads(recado.get("/api/orquestrador/tasks")[2])["tasks"]
    assert [(t["title"], t["status"], t["priority"]) for t in listed] == [
        ("Import the orders", "executing", "urgent")]
    tell(recado, f"/api/orquestrador/tasks/{listed[0]['id']}", {"status": "completed"}, "PATCH")
    await expect(page.get_by_role("region", name="Done").locator(".task-card")).to_have_count(1)
    tell(recado, "/api/orquestrador/tasks", {"title": "From a back end"})
    await expect(todo.locator(".task-card")).to_contain_text("From a back end")
    await page.get_by_role("searchbox", name="Search").fill("orders")
    await expect(page.locator(".task-card")).to_have_count(1)
    await shoot(page, "tasks-wide-light-en")


async def test_a_task_with_its_subtasks(recado, open_console):
    from playwright.async_api import expect

    task = tell(recado, "/api/orquestrador/tasks", {"title": "Import", "description": "All of them"})
    page = await open_console(recado, f"#/tasks/{task['id']}")
    await wait_live(page)
    await expect(page.get_by_text("No subtasks.")).to_be_visible()
    for name in ("Read", "Write"):
        await page.get_by_label("New subtask").fill(name)
        await page.get_by_label("New subtask").press("Enter")
        await expect(page.locator(".steps li").last).to_contain_text(name)
    await page.get_by_label("Status of Read").select_option("completed")
    await expect(page.get_by_text("1 of 2 done")).to_be_visible()
    tell(recado, f"/api/orquestrador/tasks/{task['id']}", {"status": "validating"}, "PATCH")
    await expect(page.get_by_label("Status", exact=True)).to_have_value("validating")
    await shoot(page, "task-wide-light-en")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No tasks yet")).to_be_visible()


# Approvals.


async def test_approvals_are_counted_and_decided(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    badge = page.locator("#navigation .badge")
    await expect(badge).to_be_hidden()
    add_approval(recado, "p1")
    await expect(badge).to_have_text(re.compile("^1"))
    add_approval(recado, "p2", "delete_file")
    await expect(badge).to_have_text(re.compile("^2"))
    await page.get_by_role("link", name=re.compile("Approvals")).click()
    await expect(page.get_by_text("2 waiting for a decision")).to_be_visible()
    await shoot(page, "approvals-wide-light-en")
    await page.get_by_label("Note for send_whatsapp").fill("go ahead")
    await page.get_by_role("button", name="Approve: send_whatsapp").click()
    await expect(page.get_by_text("send_whatsapp: approved")).to_be_visible()
    decided = page.get_by_role("table", name="Decided")
    await expect(decided.get_by_role("row").filter(has_text="send_whatsapp")).to_contain_text("go ahead")
    row = json.loads(recado.get("/api/approvals/p1")[2])
    assert (row["status"], row["note"]) == ("approved", "go ahead")

    # Somebody else decides, and the page shows it.
    tell(recado, "/api/approvals/p2/deny", {"by": "bia"})
    await expect(decided.get_by_role("row").filter(has_text="delete_file")).to_contain_text("bia")
    await expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()
    await expect(badge).to_be_hidden()


async def test_an_event_of_an_agent_asks_here_too(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/approvals")
    await wait_live(page)
    await expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()
    recado.publish("agents", {"permissionId": "q1", "action": "pay_invoice", "agentId": "vendas"},
                   type="permission:pending")
    await expect(page.locator("[data-approval=q1]")).to_contain_text("pay_invoice")
    await page.get_by_role("button", name="Deny: pay_invoice").click()
    await expect(page.get_by_text("pay_invoice: denied")).to_be_visible()


async def test_what_was_asked_before_the_page_listened_is_there(recado, open_console):
    """The list is read, an agent asks, and only then is the page's subscription confirmed."""
    from playwright.async_api import expect

    page = await open_console(recado, "#/approvals")
    held, passing = [], []

    def hold(socket):
        server = socket.connect_to_server()
        socket.on_message(lambda m: server.send(m) if passing else held.append((server, m)))

    await page.route_web_socket("**/connection/websocket", hold)
    await page.reload()
    await expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()
    add_approval(recado, "early")
    passing.append(True)
    for server, message in held:
        server.send(message)
    # Sooner than the page asks by itself.
    await expect(page.locator("[data-approval=early]")).to_be_visible(timeout=8000)


# Schedules.


async def test_schedules_are_made_run_and_paused(recado, back_end, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/schedules", allow="400")
    await wait_live(page)
    await expect(page.get_by_text("No schedules yet")).to_be_visible()
    await page.get_by_role("button", name="New schedule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Nightly audit")
    await dialog.get_by_label("Rhythm").fill("every now and then")
    await dialog.get_by_label("URL").fill(f"http://127.0.0.1:{back_end.server_port}/audit")
    await dialog.get_by_role("button", name="Create").click()
    await expect(dialog.get_by_text("Failed:")).to_be_visible()
    await dialog.get_by_label("Rhythm").fill("0 3 * * *")
    await dialog.get_by_role("button", name="Create").click()
    row = page.get_by_role("row").filter(has_text="Nightly audit")
    await expect(row).to_contain_text("0 3 * * *")
    await expect(row).to_contain_text("never")
    await row.get_by_role("button", name=re.compile("^Run now")).click()
    await expect(row.locator("[data-state=success]")).to_be_visible()
    assert back_end.calls == 1
    await row.get_by_role("button", name=re.compile("^Pause")).click()
    await expect(row.locator("[data-state=paused]")).to_be_visible()
    await shoot(page, "schedules-wide-light-en")
    await row.get_by_role("button", name=re.compile("^Resume")).click()
    await expect(row.locator("[data-state=active]")).to_be_visible()
    await row.get_by_role("button", name=re.compile("^Delete")).click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No schedules yet")).to_be_visible()


# Monitor and logs.


async def test_monitor_shows_the_machine(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/monitor", allow="503")
    await wait_live(page)
    await expect(page.locator("[data-figure=memory]")).to_contain_text("GiB")
    await expect(page.locator("[data-figure=cpu]")).to_contain_text("%")
    chart = page.get_by_role("img", name=re.compile("^CPU: now"))
    await expect(chart.locator("canvas")).to_be_visible()
    points = page.locator(".plots")
    before = int(await points.get_attribute("data-points"))
    await expect(points).not_to_have_attribute("data-points", str(before))  # a live reading
    await page.get_by_role("button", name="24 hours").click()
    await expect(page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")
    await expect(chart.locator("canvas")).to_be_visible()


async def test_logs_are_followed_filtered_and_held(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/logs")
    await wait_live(page)
    lines = page.locator(".log-line")
    await expect(lines.filter(has_text="is ready").first).to_be_visible()  # Recado's own
    tell(recado, "/api/logs", {"level": "warning", "message": "<b>slow</b> query", "source": "shop"})
    await expect(lines.filter(has_text="<b>slow</b> query")).to_have_count(1)
    for n in range(300):
        tell(recado, "/api/logs", {"level": "info", "message": f"tick {n}", "source": "shop"})
    await expect(lines.last).to_contain_text("tick 299")
    at_end = "e => e.scrollHeight - e.scrollTop - e.clientHeight < 50"
    log = page.get_by_role("log")
    assert await log.evaluate(at_end)
    await page.reload()
    await expect(lines).to_have_count(200)
    await page.get_by_role("button", name="Older").click()
    await expect(lines.filter(has_text="is ready").first).to_be_visible()
    await expect(lines.filter(has_text="tick 7")).to_have_count(11)
    await shoot(page, "logs-wide-light-en")

    await page.get_by_label("Level").select_option("warning")
    await page.get_by_label("Source").fill("shop")
    await expect(lines).to_have_count(1)
    await page.get_by_label("Text").fill("nothing like it")
    await expect(page.get_by_text("No line matches these filters.")).to_be_visible()
    await page.get_by_label("Text").fill("")
    await expect(lines).to_have_count(1)
    tell(recado, "/api/logs", {"level": "info", "message": "not shown", "source": "shop"})
    tell(recado, "/api/logs", {"level": "error", "message": "broken", "source": "shop"})
    await expect(lines).to_have_count(2)
    await page.get_by_role("button", name="Pause").click()
    tell(recado, "/api/logs", {"level": "error", "message": "while held", "source": "shop"})
    resume = page.get_by_role("button", name="Resume (1 new)")
    await expect(resume).to_be_visible()
    await expect(lines).to_have_count(2)
    await resume.click()
    await expect(lines.last).to_contain_text("while held")


# Access, ways, looks.


async def test_a_locked_server_opens_every_page_with_its_key(start_recado, open_console):
    from playwright.async_api import expect

    recado = start_recado(LOCKED)
    page = await open_console(recado, "#/tasks", allow="401|403|404|503|WebSocket")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_role("navigation")).to_be_hidden()
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("No tasks yet")).to_be_visible()
    for route, text in (("chat", "No conversations yet"), ("runs", "Nothing was executed yet"),
                        ("approvals", "Nothing waits for a decision"),
                        ("schedules", "No schedules yet"), ("logs", "is ready")):
        await page.goto(f"{recado.url}/#/{route}")
        await expect(page.get_by_text(text).first).to_be_visible()
    command = page.locator(".command code")
    await page.goto(f"{recado.url}/#/runs")
    await expect(command).to_contain_text("$RECADO_API_KEY")
    await page.goto(f"{recado.url}/#/monitor")
    await expect(page.locator("[data-figure=memory]")).to_contain_text("GiB")


async def test_menu_of_a_narrow_screen(recado, open_console):
    from playwright.async_api import expect

    add_approval(recado, "p1")
    page = await open_console(recado, width=PHONE)
    await wait_live(page)
    menu = page.get_by_role("button", name=re.compile("^Menu"))
    await expect(page.get_by_role("navigation")).to_be_hidden()
    await expect(menu.locator(".badge")).to_have_text(re.compile("^1"))
    await menu.focus()
    await page.keyboard.press("Enter")
    await expect(menu).to_have_attribute("aria-expanded", "true")
    nav = page.get_by_role("navigation", name="Main")
    await expect(nav.get_by_role("link")).to_have_count(11)
    await shoot(page, "menu-phone-light-en")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await expect(nav).to_be_hidden()
    await expect(menu).to_be_focused()
    await menu.click()
    await nav.get_by_role("link", name="Logs").click()
    await expect(nav).to_be_hidden()
    await expect(page.get_by_role("heading", name="Logs")).to_be_focused()
    await expect(page).to_have_title("Logs · Recado")


async def test_every_page_has_names_and_one_title(recado, open_console):
    from playwright.async_api import expect

    add_approval(recado, "p1")
    add_run(recado, "audit")
    tell(recado, "/api/orquestrador/tasks", {"title": "Import"})
    tell(recado, "/api/schedules", {"id": "audit", "name": "Audit", "interval": "1d",
                                    "url": "http://127.0.0.1:9/"})
    page = await open_console(recado, "#/runs", allow="503")
    for route in (*ROUTES, "chat"):
        await page.goto(f"{recado.url}/#/{route}")
        await expect(page.get_by_text(LOADING)).to_have_count(0)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        unnamed = await page.evaluate("""() =>
            [...document.querySelectorAll('button, input, select, textarea, a')].filter((e) =>
                !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length) ||
                (e.matches('input, select, textarea') && !e.labels?.length && !e.getAttribute('aria-label')))
                .map((e) => e.outerHTML)""")
        assert unnamed == [], route
        ids = await page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids)), route


@pytest.mark.parametrize("width,scheme,locale", [
    (WIDE, "dark", "pt-BR"), (WIDE, "light", "en-US"), (PHONE, "light", "pt-BR"), (PHONE, "dark", "en-US"),
])
async def test_every_page_fits(recado, open_console, width, scheme, locale):
    from playwright.async_api import expect

    add_approval(recado, "p1", details={"text": "x" * 300})
    for n in range(4):
        add_run(recado, f"a run with quite a long name, number {n}", agent="auditor",
                status=("completed", "failed", "running", "cancelled")[n])
    run = add_run(recado, "audit", status="failed", input={"limit": 20})
    for status in ("pending", "executing", "completed", "failed"):
        task = tell(recado, "/api/orquestrador/tasks", {
            "title": f"Uma tarefa com um título comprido ({status})", "description": "Todos. " * 20})
        tell(recado, f"/api/orquestrador/tasks/{task['id']}", {"status": status}, "PATCH")
    tell(recado, f"/api/orquestrador/tasks/{task['id']}/subtasks", {"title": "Ler"})
    tell(recado, "/api/schedules", {
        "id": "audit", "display_name": "Auditoria de segurança", "interval": "1d",
        "url": "http://127.0.0.1:9/a/rather/long/path/of/a/back/end/that/is/called"})
    page = await open_console(recado, "#/runs", width=width, scheme=scheme, locale=locale, allow="503")
    look = f"{'wide' if width == WIDE else 'phone'}-{scheme}-{locale[:2]}"
    for route in (*ROUTES, f"runs/{run}", f"tasks/{task['id']}"):
        await page.goto(f"{recado.url}/#/{route}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.get_by_text(LOADING)).to_have_count(0)
        await no_sideways_scroll(page)
        await shoot(page, f"{route.split('/')[0]}{'-one' if '/' in route else ''}-{look}")
