"""The rights on jobs, and the record of operations."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'verbose_name': 'job',
                'verbose_name_plural': 'jobs',
                'permissions': (('kill_job', 'Can kill jobs'), ('retry_job', 'Can retry jobs'), ('remove_job', 'Can remove jobs'), ('submit_job', 'Can submit jobs'), ('control_workers', 'Can control workers')),
                'managed': False,
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Operation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(choices=[('kill', 'Request kill'), ('kill-now', 'Kill now'), ('retry', 'Retry'), ('remove', 'Remove'), ('restore', 'Undo removal')], max_length=16, verbose_name='action')),
                ('username', models.CharField(blank=True, max_length=150, verbose_name='user name')),
                ('address', models.GenericIPAddressField(blank=True, null=True, verbose_name='address')),
                ('reason', models.TextField(blank=True, verbose_name='reason')),
                ('filter', models.TextField(blank=True, verbose_name='filter')),
                ('description', models.TextField(blank=True, verbose_name='which jobs')),
                ('ids', models.JSONField(blank=True, null=True, verbose_name='selected jobs')),
                ('announced', models.PositiveIntegerField(default=0, verbose_name='announced')),
                ('plan', models.JSONField(blank=True, default=dict, verbose_name='plan')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('stopping', 'Stopping'), ('stopped', 'Stopped'), ('done', 'Done'), ('failed', 'Failed')], db_index=True, default='waiting', max_length=16, verbose_name='state')),
                ('done', models.PositiveIntegerField(default=0, verbose_name='done')),
                ('changed', models.PositiveIntegerField(default=0, verbose_name='changed')),
                ('skipped', models.PositiveIntegerField(default=0, verbose_name='skipped')),
                ('missing', models.PositiveIntegerField(default=0, verbose_name='missing')),
                ('by_reason', models.JSONField(blank=True, default=dict, verbose_name='by reason')),
                ('error', models.TextField(blank=True, verbose_name='error')),
                ('undo_token', models.TextField(blank=True, verbose_name='undo token')),
                ('undo_until', models.DateTimeField(blank=True, null=True, verbose_name='undo until')),
                ('undone_at', models.DateTimeField(blank=True, null=True, verbose_name='undone')),
                ('created_at', models.DateTimeField(auto_now_add=True, db_index=True, verbose_name='created')),
                ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='started')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended')),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True, verbose_name='heartbeat')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'operation',
                'verbose_name_plural': 'operations',
                'ordering': ('-created_at', '-pk'),
                'default_permissions': (),
            },
        ),
    ]
