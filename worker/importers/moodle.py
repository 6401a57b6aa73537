"""Reads Moodle's completions: `course_modules_completion` joined with `course_modules`, as CSV (docs/adopting.md)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from worker.importers.identity import Learner
from worker.importers.opening import Part
from worker.importers.records import Kind, Listed, Outcome, Record, Skipped, Unreadable, make_id, read_lesson, read_time
from worker.importers.tables import Row, need, read_each, read_rows, read_titles, read_total

# Other names of the columns, as people who write the query themselves choose them.
ALIASES = {
    "user": "userid",
    "idnumber": "useridnumber",
    "course": "courseid",
    "cmid": "coursemoduleid",
    "total": "tracked_modules",
    "fullname": "course_title",
    "coursefullname": "course_title",
    "module_name": "lesson_title",
    "section_name": "section",
}
NEEDED = ("userid", "courseid", "coursemoduleid", "completionstate", "timemodified")
FAILED = "3"


@dataclass
class MoodleReader:
    """Reads rows. `site` is Moodle's address; `failed_counts`: a module that was done and not passed is completed."""

    columns: Mapping[str, str] = field(default_factory=dict)
    site: str | None = None
    failed_counts: bool = False
    warnings: list[str] = field(default_factory=list)

    def read(self, part: Part, file: int) -> Iterator[Outcome]:
        """Yields what each row says. Raises ProgressError for a text without the columns that are needed."""
        yield from read_each(read_rows(part, {**ALIASES, **self.columns}, NEEDED), self.read_row)

    def read_row(self, row: Row, line: int) -> Outcome:
        """Reads one row. Raises Unreadable."""
        if row.get("userid") is None and row.get("completionstate") is None:  # a module that nobody has touched
            course, lesson = need(row, "courseid"), read_lesson(need(row, "coursemoduleid"))
            return Listed(self.name_course(course), lesson, *read_titles(row), in_list=False)
        state, at = need(row, "completionstate"), need(row, "timemodified")
        kind = self._read_state(state)
        if kind == "uncompleted" and at == "0":
            return Skipped("never touched")
        course, lesson = need(row, "courseid"), read_lesson(need(row, "coursemoduleid"))
        learner = self._identify(need(row, "userid"), row.get("useridnumber"))
        id = make_id("moodle", self.site, learner.name, course, lesson, state, at)
        total = read_total(row.get("tracked_modules"))
        return Record(
            kind, learner, self.name_course(course), lesson, read_time(at), id, line, total, *read_titles(row)
        )

    def _read_state(self, state: str) -> Kind:
        if state not in ("0", "1", "2", FAILED):
            raise Unreadable(f"completionstate: {state!r} is not 0 to 3")
        return "completed" if state in ("1", "2") or (state == FAILED and self.failed_counts) else "uncompleted"

    def _identify(self, user: str, number: str | None) -> Learner:
        if self.site:
            return Learner(number or user, self.site, keys=(user,))
        return Learner(number or f"moodle user {user}", keys=(user,))

    def name_course(self, course: str) -> str:
        """Returns the course's id as Moodle's statements have it, or without a site one that says what it is."""
        return f"{self.site.rstrip('/')}/course/view.php?id={course}" if self.site else f"moodle course {course}"
