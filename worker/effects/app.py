"""Composes `course-progress effects` on one screen: what follows from events.

course-events, learners, lesson-events -> intake's lanes -> channel -> agent -> PlanSink (plans, with the offsets)
-> table `effect` -> the performer claims what is due -> performs it (certificates, badges, and what they announce, into
the outbox) -> commit
"""

import asyncio

from events.producer import Producer
from worker.achievements.award import BADGE_SCAN, Awarder
from worker.achievements.plan import BADGES, Activity, plan_badges_of_courses, plan_badges_of_described
from worker.achievements.registration import Registration
from worker.achievements.rules import read_badges
from worker.agents import AgentApp, Handovers, add_agent
from worker.certificates.issue import Issuer
from worker.certificates.people import describe_learners
from worker.certificates.plan import CERTIFICATE, plan_certificates
from worker.certificates.sign_lists import SIGN_LISTS, ListSigner
from worker.deadletters.writer import DeadLetterWriter
from worker.decode import decode_completed_lesson, decode_course_event, decode_learner
from worker.effects.performer import Performer
from worker.effects.plan_sink import PlanSink
from worker.effects.settings import EffectsSettings
from worker.health.endpoints import create_health
from worker.intake.intake import Intake
from worker.kafka.client import client_arguments
from worker.kafka.permissions import PermissionWatch, effects_permissions, require_access
from worker.kafka.topics import LARGEST_REQUEST, require_topics
from worker.stream.effect import Perform, Plan
from worker.stream.stream import Stream
from worker.web.port import require_free_port, serve_health


class Effects(AgentApp):
    """Runs one process: its services start in the order they stand here, and stop in the reverse."""

    def __init__(self, settings: EffectsSettings) -> None:
        super().__init__(settings.effects_group, settings)
        self.settings = settings
        self.needed = effects_permissions(settings, lesson_events=settings.achievements)
        self.permissions = PermissionWatch(settings, self.needed)
        self.to_dead_letters = Producer(
            **client_arguments(settings), compression_type="gzip", max_request_size=LARGEST_REQUEST
        )
        badges = read_badges(settings.badges_file) if settings.achievements else ()
        awarder = Awarder(settings, badges)
        performs: dict[str, Perform] = {
            CERTIFICATE: Issuer(settings).perform,
            SIGN_LISTS: ListSigner(settings).perform,
        }
        if settings.achievements:
            performs |= {BADGES: awarder.perform, BADGE_SCAN: awarder.perform_scan}
        self.performer = Performer(settings, performs, settings.effects_at_once)
        self.sinks: list[PlanSink] = []
        self.registration = Registration(settings, badges) if settings.achievements else None
        self.intakes = self._take_streams(settings, Activity(badges))
        health = create_health(
            self.intakes, {"performer": self.performer}, settings, waits=lambda: self.performer.waiting_for
        )
        serve_health(self, health, settings)

    def _take_streams(self, settings: EffectsSettings, activity: Activity) -> list[Intake]:
        """Composes what takes each stream. Badges are planned after what keeps the facts that they look at."""
        of_courses: list[Plan] = [plan_certificates]
        of_learners: list[Plan] = [describe_learners]
        if settings.achievements:
            of_courses.append(plan_badges_of_courses)
            of_learners.append(plan_badges_of_described)
        course_events = Stream(settings.course_events_topic, settings.effects_group, decode_course_event)
        learners = Stream(settings.learners_topic, settings.learners_group, decode_learner)
        intakes = [
            self._take(course_events, of_courses, "effects", "Plans what follows from course events."),
            self._take(learners, of_learners, "learners", "Stores how to address learners."),
        ]
        if settings.achievements:
            lessons = Stream(settings.lesson_events_topic, settings.lessons_group, decode_completed_lesson)
            intakes.append(self._take(lessons, [activity.plan], "activity", "Keeps when learners were active."))
        return intakes

    def _take(self, stream: Stream, plans: list[Plan], name: str, description: str) -> Intake:
        """Composes what takes one stream: an agent, and an intake with one lane."""
        sink = PlanSink(self.settings, stream.group, plans)
        self.sinks.append(sink)
        handovers = Handovers(self)
        dead_letters = DeadLetterWriter(self.settings, self.to_dead_letters, stream.group)
        add_agent(
            self, name, handovers, dead_letters, lanes=1, description=description, on_announced=self.performer.nudge
        )
        return Intake(self.settings, stream, handovers.hand_over, [sink])

    async def on_start(self) -> None:
        await super().on_start()
        require_free_port(self.settings)
        await require_access(client_arguments(self.settings), self.needed)
        await require_topics(self.settings, *self.needed)
        await self.add_async_context(self.to_dead_letters)

    async def on_started_init_extra_services(self) -> None:
        await super().on_started_init_extra_services()
        await self.add_runtime_dependency(self.performer)
        if self.registration is not None:
            await self.add_runtime_dependency(self.registration)
        for intake in self.intakes:
            await self.add_runtime_dependency(intake)
        await self.add_runtime_dependency(self.permissions)

    async def on_shutdown(self) -> None:
        # Not in on_stop, which runs before the intakes have drained.
        await asyncio.gather(*(sink.close() for sink in self.sinks))
        await super().on_shutdown()
